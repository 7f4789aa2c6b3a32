"""One worker for one MODEL_DIR, and whether it settled in.

Where several machines share it, leases in their database keep the workers apart (see
`model_store.leases`), and no lock is asked of a file system that may have none.
"""

from __future__ import annotations

import fcntl
import os
import time

from backend.errors import StoreError
from backend.process.startup import machine_folder
from backend.settings import Settings
from model_store.files import make_private_folder

LOCK_NAME = "worker.lock"
LOOK_EVERY_S = 0.2


class WorkerLock:
    """The lock of the one worker that a folder may have, until it is closed."""

    def __init__(self, settings: Settings, wait_s: float = 0.0) -> None:
        """Take the lock, within `wait_s` seconds: an earlier worker may be about to end.

        StoreError: another worker holds it, or MODEL_DIR cannot be written.
        """
        folder = machine_folder(settings)
        self._is_alone = not settings.database_url
        make_private_folder(folder)
        try:
            self._file = (folder / LOCK_NAME).open("a")
        except OSError as error:
            raise StoreError(f"MODEL_DIR: {folder} cannot be written: {error}") from error
        deadline = time.monotonic() + wait_s
        while not self._is_taken():
            if time.monotonic() >= deadline:
                self._file.close()
                raise StoreError(
                    f"another worker works in {folder}; needed is one worker for one MODEL_DIR"
                )
            time.sleep(LOOK_EVERY_S)

    def note_settled(self) -> None:
        """Note that the worker went through all projects once: whatever comes, it could begin."""
        os.utime(self._file.fileno())

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def _is_taken(self) -> bool:
        if not self._is_alone:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def settled_at(settings: Settings) -> int:
    """When a worker of the folder last settled in: nanoseconds, to be compared with others; 0."""
    try:
        return (machine_folder(settings) / LOCK_NAME).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
