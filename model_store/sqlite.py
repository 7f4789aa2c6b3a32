"""What is SQLite's own: how a file is opened, and what its refusals say of the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from backend.errors import JournalDamagedError, JournalError, JournalLockedError

# SQLite's primary result codes, and what each says of the journal.
LOCKS = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
REFUSALS: Mapping[int, str] = {
    **dict.fromkeys(LOCKS, "is locked by another process"),
    sqlite3.SQLITE_FULL: "cannot be written: no space is left",
    sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
    sqlite3.SQLITE_PERM: "cannot be opened: no right to",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk fails or no space is left",
}
# SQLITE_ERROR: a table or a column that should be there is not.
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


# The worker publishes with up to 16 threads beside its own.
CONNECTIONS = {"pool_size": 4, "max_overflow": 24}


def create_engine(url: str, busy_s: float) -> sa.Engine:
    """An engine whose connections wait for another process's lock for `busy_s` seconds."""
    engine = sa.create_engine(url, connect_args={"timeout": busy_s}, **CONNECTIONS)
    sa.event.listen(engine, "connect", _prepare)
    return engine


def take_turns(connection: sa.Connection) -> None:
    """Take the lock before the first look: processes that change the tables take turns."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def check(connection: sa.Connection) -> None:
    """JournalDamagedError: SQLite finds its pages damaged."""
    found = [row[0] for row in connection.exec_driver_sql("PRAGMA quick_check(1)")]
    if found != ["ok"]:
        raise JournalDamagedError(f"the journal is damaged: {found[0]}")


def insert_if_missing(table: sa.Table) -> sa.Insert:
    """An insert that leaves a row as it is whose key is there already."""
    return sqlite.insert(table).on_conflict_do_nothing()


def unreadable(error: Exception) -> JournalError:
    """What it means that the driver cannot make a value of what a row holds."""
    return JournalDamagedError(f"the journal is damaged: a row cannot be read ({error})")


def named(error: BaseException) -> JournalError | None:
    """What SQLite's own error says of the journal; None where it says something of a statement."""
    if not isinstance(error, sqlite3.DatabaseError):
        return None
    # Text that is no UTF-8 has no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in DAMAGES:
        return JournalDamagedError(f"the journal is damaged: {error}")
    kind = JournalLockedError if code in LOCKS else JournalError
    return kind(f"the journal {REFUSALS[code]} ({error})") if code in REFUSALS else None


def shown(url: str) -> str:
    """The URL as it may be printed."""
    return url


def _prepare(connection: Any, _record: Any) -> None:
    # WAL: the web process reads and notes while the worker writes.
    connection.execute("PRAGMA journal_mode=WAL")
    # With less, a power cut takes the last commits back, and with them numbers of rounds.
    connection.execute("PRAGMA synchronous=FULL")
