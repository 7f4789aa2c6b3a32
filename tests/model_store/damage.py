"""Damage as a disk or a foreign hand does it to the files below MODEL_DIR."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

PAGE_BYTES = 4096


def flip_bytes(path: Path, start: int, count: int) -> None:
    """Invert `count` bytes of a file, in place."""
    with path.open("r+b") as file:
        file.seek(start)
        found = file.read(count)
        file.seek(start)
        file.write(bytes(255 - byte for byte in found))
        file.flush()
        os.fsync(file.fileno())


def flip_pages(path: Path, first: int = 1) -> None:
    """Damage every page of a SQLite file from page `first` on, counted from 0."""
    size = path.stat().st_size
    for start in range(first * PAGE_BYTES, size, PAGE_BYTES):
        flip_bytes(path, start, 64)


def settle(journal: Path) -> None:
    """Bring what SQLite's log holds into the file itself."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def write_lock(journal: Path) -> Iterator[None]:
    """The lock of a process that writes and does not come to an end."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


class SmallDisk:
    """A disk of a few MB in memory, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no space on it."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(PAGE_BYTES))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A small disk for the length of a `with`; skips where nobody may mount one."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a small disk: run as root")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
