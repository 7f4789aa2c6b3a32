"""The journal's database: one SQLite file, or a PostgreSQL that several machines share.

Whatever it refuses is a JournalError that says why, without a path or an address: `/status` shows
it. What is the database's own stands in `sqlite` and `postgresql`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa

from backend.errors import JournalError, JournalLockedError, StoreError
from model_store import postgresql, schema, sqlite

Row = TypeVar("Row")
Clock = Callable[[], float]
# Called with a transaction, and whether others of the same holder are to wait for its end.
Fence = Callable[[sa.Connection, bool], None]
# How long a lock of another process is waited for.
BUSY_S = 30.0


class Dialect(Protocol):
    """What is a database's own: the module `sqlite` or `postgresql`."""

    def create_engine(self, url: str, busy_s: float) -> sa.Engine: ...

    def take_turns(self, connection: sa.Connection) -> None: ...

    def check(self, connection: sa.Connection) -> None: ...

    def insert_if_missing(self, table: sa.Table) -> sa.Insert: ...

    def unreadable(self, error: Exception) -> JournalError: ...

    def named(self, error: BaseException) -> JournalError | None: ...

    def shown(self, url: str) -> str: ...


class Database:
    """Rows in, dataclasses out; may be used from several threads and processes.

    Every method raises JournalError, and JournalDamagedError where waiting would not help.
    """

    def __init__(self, url: str, clock: Clock = time.time, *, busy_s: float = BUSY_S) -> None:
        """Open (and create where needed) the tables at an SQLAlchemy database URL.

        busy_s: how long a lock of another process is waited for.
        StoreError: it cannot be opened or written, or a later release wrote it.
        """
        self._url = url
        self._dialect = dialect_of(url)
        self.engine = _engine(url, busy_s)
        self._impatient = _engine(url, busy_s=0.0)
        self._clock = clock
        self._fence: Fence | None = None
        try:
            with self.engine.begin() as connection:
                self._dialect.take_turns(connection)
                schema.prepare(connection)
        except (sa.exc.SQLAlchemyError, JournalError) as error:
            if self.is_embedded and isinstance(error, JournalError):
                raise
            self.close()
            raise StoreError(
                f"the journal {self._dialect.shown(url)} cannot be opened or written: "
                f"{error.__cause__ or error}"
            ) from error

    @property
    def is_embedded(self) -> bool:
        """Whether it is a file of this machine's own."""
        return self._dialect is sqlite

    def under(self, fence: Fence) -> Database:
        """The same database; `fence` is called first in each transaction that writes.

        Whatever it raises keeps the transaction from being written.
        """
        fenced = copy.copy(self)
        fenced._fence = fence
        return fenced

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
        with self.engine.connect() as connection:
            self._dialect.check(connection)
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
        except JournalLockedError:
            return

    @contextmanager
    def transaction(self, *, alone: bool = False) -> Iterator[sa.Connection]:
        """One that writes: all of it, or nothing where anything is raised.

        alone: it replaces rows, and others of the same project wait for its end, as in a file.
        """
        with self.engine.begin() as connection:
            if self._fence is not None:
                self._fence(connection, alone)
            yield connection

    def write(self, *statements: sa.Executable) -> None:
        """Execute statements in one transaction."""
        with self.transaction() as connection:
            for statement in statements:
                connection.execute(statement)

    def insert_all(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows in one transaction; none is no error."""
        if rows:
            with self.transaction() as connection:
                connection.execute(table.insert(), rows)

    def insert_if_missing(self, table: sa.Table) -> sa.Insert:
        """An insert that leaves a row as it is whose key is there already."""
        return self._dialect.insert_if_missing(table)

    def rows(self, statement: sa.Executable) -> Iterator[sa.Row]:
        """Every row of a statement."""
        with self.engine.connect() as connection:
            try:
                yield from connection.execute(statement)
            except (ValueError, TypeError) as error:
                raise self._dialect.unreadable(error) from error

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


def dialect_of(url: str) -> Dialect:
    """The dialect of a database URL."""
    return sqlite if url.startswith("sqlite") else postgresql


def lacks(url: str, busy_s: float) -> bool:
    """Whether a database of today's layout lacks a table or a column. JournalError."""
    engine = _engine(url, busy_s)
    try:
        with engine.connect() as connection:
            return schema.lacks(connection)
    finally:
        engine.dispose()


def _engine(url: str, busy_s: float) -> sa.Engine:
    dialect = dialect_of(url)
    engine = dialect.create_engine(url, busy_s)

    def name(found: sa.engine.ExceptionContext) -> JournalError | None:
        # What a look at an idle connection finds, SQLAlchemy itself puts right.
        return None if found.is_pre_ping else dialect.named(found.original_exception)

    sa.event.listen(engine, "handle_error", name)
    return engine
