"""The journal's database: one SQLite file, or any database URL of SQLAlchemy.

Whatever SQLite refuses is a JournalError that says why, without a path: `/status` shows it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa

from backend.errors import JournalDamagedError, JournalError, StoreError
from model_store import schema

Row = TypeVar("Row")
Clock = Callable[[], float]
# How long a lock of another process is waited for.
BUSY_S = 30.0

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


class _JournalLockedError(JournalError):
    """Another process writes."""


class Database:
    """Rows in, dataclasses out; may be used from several threads and processes.

    Every method raises JournalError, and JournalDamagedError where waiting would not help.
    """

    def __init__(self, url: str, clock: Clock = time.time, *, busy_s: float = BUSY_S) -> None:
        """Open (and create where needed) the tables at an SQLAlchemy database URL.

        busy_s: how long a lock of another process is waited for, of SQLite only.
        StoreError: it cannot be opened or written, or a later release wrote it.
        """
        self._url = url
        self._is_sqlite = url.startswith("sqlite")
        self.engine = _engine(url, busy_s)
        self._impatient = _engine(url, busy_s=0.0)
        self._clock = clock
        try:
            schema.prepare(self.engine)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the journal {url} cannot be opened or written: {error}") from error

    def now(self) -> float:
        """Seconds since the epoch, by the journal's clock."""
        return self._clock()

    def limit_waiting(self, busy_s: float) -> None:
        """Wait for a lock of another process no longer than this from now on."""
        self.engine.dispose()
        self.engine = _engine(self._url, busy_s)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()
        self._impatient.dispose()

    def verify(self) -> None:
        """Read every row of every table. JournalDamagedError: something cannot be read."""
        if self._is_sqlite:
            found = [row[0] for row in self.rows(sa.text("PRAGMA quick_check(1)"))]
            if found != ["ok"]:
                raise JournalDamagedError(f"the journal is damaged: {found[0]}")
        for table in schema.metadata.sorted_tables:
            for _ in self.rows(sa.select(table)):
                pass

    def probe(self) -> None:
        """Write a row as it is, in milliseconds.

        A lock is not waited for: where another process writes, the journal can be written.
        """
        as_it_is = schema.layout.update().values(number=schema.layout.c.number)
        try:
            with self._impatient.begin() as connection:
                connection.execute(as_it_is)
        except _JournalLockedError:
            return

    def write(self, *statements: sa.Executable) -> None:
        """Execute statements in one transaction."""
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)

    def insert_all(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows in one transaction; none is no error."""
        if rows:
            with self.engine.begin() as connection:
                connection.execute(table.insert(), rows)

    def rows(self, statement: sa.Executable) -> Iterator[sa.Row]:
        """Every row of a statement."""
        with self.engine.connect() as connection:
            try:
                yield from connection.execute(statement)
            except (ValueError, TypeError) as error:
                raise JournalDamagedError(
                    f"the journal is damaged: a row cannot be read ({error})"
                ) from error

    def all(self, kind: type[Row], statement: sa.Select) -> list[Row]:
        """Every row of a statement whose columns are the fields of `kind`."""
        return [kind(**row._mapping) for row in self.rows(statement)]

    def first(self, kind: type[Row], statement: sa.Select) -> Row | None:
        """The first row of such a statement, or None."""
        found = self.all(kind, statement.limit(1))
        return found[0] if found else None

    def scalar(self, statement: sa.Select) -> Any:
        """The first column of the first row, or None."""
        with self.engine.connect() as connection:
            return connection.execute(statement).scalar()


def values_of(state: Any) -> dict[str, Any]:
    """A dataclass's fields by name."""
    return {column.name: getattr(state, column.name) for column in fields(state)}


def columns_of(kind: type[Any], table: sa.Table) -> list[sa.Column]:
    """The columns of a table that are the fields of a dataclass."""
    return [table.c[column.name] for column in fields(kind)]


def lacks(url: str, busy_s: float) -> bool:
    """Whether a database of today's layout lacks a table or a column. JournalError."""
    engine = _engine(url, busy_s)
    try:
        with engine.connect() as connection:
            return schema.lacks(connection)
    finally:
        engine.dispose()


def _engine(url: str, busy_s: float) -> sa.Engine:
    is_sqlite = url.startswith("sqlite")
    engine = sa.create_engine(url, connect_args={"timeout": busy_s} if is_sqlite else {})
    sa.event.listen(engine, "handle_error", lambda found: named(found.original_exception))
    if is_sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL: the web process reads and notes while the worker writes.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def named(error: BaseException) -> JournalError | None:
    """What SQLite's own error says of the journal; None where it says something of a statement."""
    if not isinstance(error, sqlite3.DatabaseError):
        return None
    # Text that is no UTF-8 has no code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in DAMAGES:
        return JournalDamagedError(f"the journal is damaged: {error}")
    kind = _JournalLockedError if code in LOCKS else JournalError
    return kind(f"the journal {REFUSALS[code]} ({error})") if code in REFUSALS else None
