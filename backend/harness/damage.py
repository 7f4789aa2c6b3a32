"""Damage as a disk or a foreign hand does it to the files below MODEL_DIR."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

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


def cut_short(path: Path, kept: int = -8) -> None:
    """Leave the first `kept` bytes of a file; a negative number cuts so many off."""
    os.truncate(path, kept if kept >= 0 else max(0, path.stat().st_size + kept))


def settle(journal: Path) -> None:
    """Bring what SQLite's log holds into the file itself."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def execute(journal: Path, statement: str) -> None:
    """Change a SQLite file as somebody does who does not know what it is for."""
    with closing(sqlite3.connect(journal, timeout=60)) as connection:
        connection.execute(statement)
        connection.commit()


@contextmanager
def write_lock(journal: Path) -> Iterator[None]:
    """The lock of a process that writes and does not come to an end."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
