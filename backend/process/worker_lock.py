"""One worker for one MODEL_DIR."""

from __future__ import annotations

import fcntl
from typing import IO

from backend.errors import StoreError
from backend.settings import Settings
from model_store.project_folder import host_folder


def lock_worker(settings: Settings) -> IO[str]:
    """The lock of the one worker that a folder may have; it is held while the file is open.

    StoreError: another worker holds it.
    """
    folder = host_folder(settings.model_dir, settings.label_studio_url)
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "worker.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreError(
            f"another worker works in {folder}; needed is one worker for one MODEL_DIR"
        ) from error
    return file
