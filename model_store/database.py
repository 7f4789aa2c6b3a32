"""The journal's database: one SQLite file, or any database URL of SQLAlchemy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import sqlalchemy as sa

from backend.errors import StoreError
from model_store import schema

Row = TypeVar("Row")
Clock = Callable[[], float]
BUSY_S = 30


class Database:
    """Rows in, dataclasses out; may be used from several threads and processes."""

    def __init__(self, url: str, clock: Clock = time.time) -> None:
        """Open (and create where needed) the tables at an SQLAlchemy database URL.

        StoreError: it cannot be opened or written, or a later release wrote it.
        """
        is_sqlite = url.startswith("sqlite")
        self.engine = sa.create_engine(url, connect_args={"timeout": BUSY_S} if is_sqlite else {})
        self._clock = clock
        if is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
        try:
            schema.prepare(self.engine)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the journal {url} cannot be opened or written: {error}") from error

    def now(self) -> float:
        """Seconds since the epoch, by the journal's clock."""
        return self._clock()

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()

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

    def all(self, kind: type[Row], statement: sa.Select) -> list[Row]:
        """Every row of a statement whose columns are the fields of `kind`."""
        with self.engine.connect() as connection:
            return [kind(**row._mapping) for row in connection.execute(statement)]

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


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL: the web process reads and notes while the worker writes.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
