"""Files that are either wholly there or not there at all.

A file is written under a temporary name in its own folder, synced, renamed over the target, and
the folder is synced: after a kill or a power cut the old file or the new one is there, never half.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.errors import StoreError

TEMPORARY_PREFIX = ".writing-"
# Of a damaged file that is kept, out of the way.
DAMAGED_SUFFIX = ".damaged"


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Put at `path` what `write` writes to the temporary path it is given.

    Raises:
        StoreError: the folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
        os.close(handle)
        _fill_and_rename(Path(name), path, write)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error}; the folder must be writable and have space left"
        ) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically."""
    write_atomically(path, lambda temporary: _write_all(temporary, data))


def write_json(path: Path, value: Any) -> None:
    """Put `value` at `path` as indented UTF-8 JSON, atomically."""
    write_bytes(path, json.dumps(value, indent=2, ensure_ascii=False).encode())


def read_json(path: Path) -> Any:
    """The value in the JSON file at `path`.

    Raises:
        StoreError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}; needed is a JSON file") from error


def make_private_folder(folder: Path) -> None:
    """Make a folder that its owner alone may look into, where it is missing.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"MODEL_DIR: {folder} cannot be created: {error}") from error


def set_aside(path: Path) -> Path:
    """The name under which a damaged file is kept, in the place of an earlier one.

    Raises:
        StoreError: it cannot be renamed.
    """
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    try:
        path.replace(aside)
        # How long it is kept counts from now.
        aside.touch()
    except OSError as error:
        raise StoreError(f"cannot rename {path} to {aside.name}: {error}") from error
    return aside


def _fill_and_rename(temporary: Path, path: Path, write: Callable[[Path], None]) -> None:
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _write_all(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _sync(path: Path) -> None:
    """Have the kernel put a file's or a folder's content on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
