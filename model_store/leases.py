"""Which worker may write of which project, where several machines share a journal.

A lease runs out by the database's clock, and not by any machine's. Its token grows with each
holder: it is the fencing token of M. Kleppmann, "How to do distributed locking" (2016). Every
transaction of a holder begins by locking its lease, as it was given to it: whoever was overtaken
finds another token and writes nothing, and nobody overtakes in the middle of a transaction.

A project's files are not in the database. Their names hold numbers that the journal gives out, and
whoever takes a project over gives another number to what the one before may still be writing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from backend.errors import LeaseLostError
from model_store import phases, versions
from model_store.database import Database, Fence
from model_store.schema import lease as leases
from model_store.schema import round_, tuning
from model_store.schema import worker as workers

# For so long nobody else may take what was taken or renewed.
LEASE_S = 20.0
NOBODYS = {"holder": "", "expires_at": 0.0}


@dataclass(frozen=True)
class Lease:
    """The right to write of a project, as long as nobody else has it.

    token: how many holders the project had by then.
    """

    key: str
    holder: str
    token: int


class Leases:
    """The leases as one holder sees them. Every method raises JournalError."""

    def __init__(self, database: Database, holder: str) -> None:
        """holder: a name that nobody else has or had."""
        self._database = database
        self._holder = holder

    def renew(self) -> list[Lease]:
        """Have all own leases begin anew: those that nobody took, though they may have run out.

        With them goes the word that this holder is there.
        """
        statement = leases.update().where(leases.c.holder == self._holder)
        statement = statement.values(expires_at=_end()).returning(leases.c.key, leases.c.token)
        with self._database.transaction() as connection:
            connection.execute(
                self._database.insert_if_missing(workers).values(holder=self._holder)
            )
            is_this = workers.c.holder == self._holder
            connection.execute(workers.update().where(is_this).values(expires_at=_end()))
            connection.execute(workers.delete().where(workers.c.expires_at <= _now()))
            rows = connection.execute(statement).all()
        return [Lease(key, self._holder, token) for key, token in rows]

    def holders(self) -> int:
        """How many workers are there, this one included."""
        is_there = (workers.c.expires_at > _now()) | (workers.c.holder == self._holder)
        found = sa.select(sa.func.count()).select_from(workers).where(is_there)
        return max(1, int(self._database.scalar(found)))

    def taken(self) -> set[str]:
        """The keys of the projects that somebody holds now."""
        statement = sa.select(leases.c.key).where(leases.c.expires_at > _now())
        return {row[0] for row in self._database.rows(statement)}

    def take(self, key: str) -> Lease | None:
        """The lease of a project that nobody holds any more; None where somebody does.

        What the one before may still be writing files for begins anew under another number.
        """
        # One that is locked is held by somebody who writes.
        free = sa.select(leases.c.key).where(leases.c.key == key, leases.c.expires_at <= _now())
        free = free.with_for_update(skip_locked=True)
        statement = (
            leases.update()
            .where(leases.c.key == free.scalar_subquery())
            .values(holder=self._holder, token=leases.c.token + 1, expires_at=_end())
            .returning(leases.c.token)
        )
        with self._database.transaction() as connection:
            connection.execute(self._database.insert_if_missing(leases).values(key=key))
            token = connection.execute(statement).scalar()
            if token is None:
                return None
            _renumber_round(connection, key)
            _renumber_tuning(connection, key)
        return Lease(key, self._holder, token)

    def give_back(self, keys: Collection[str]) -> None:
        """Let others take what this holder has of these, at once."""
        here = (leases.c.holder == self._holder) & leases.c.key.in_(keys)
        self._database.write(leases.update().where(here).values(**NOBODYS))

    def leave(self) -> None:
        """Give all back, and be gone."""
        self._database.write(
            leases.update().where(leases.c.holder == self._holder).values(**NOBODYS),
            workers.delete().where(workers.c.holder == self._holder),
        )


def fence(lease: Lease) -> Fence:
    """What a transaction of a lease's holder begins with. LeaseLostError: it is another's now.

    The lock lasts as long as the transaction. Others of the same holder go on beside it, so that a
    process that stands still loses all of them at the same moment, unless one must be alone.
    """
    is_same = sa.and_(
        leases.c.key == lease.key, leases.c.holder == lease.holder, leases.c.token == lease.token
    )
    held = sa.select(leases.c.token).where(is_same)

    def check(connection: sa.Connection, alone: bool) -> None:
        if connection.execute(held.with_for_update(read=not alone)).first() is None:
            raise LeaseLostError(f"project {lease.key}: another worker took it over")

    return check


def _now() -> sa.ColumnElement[Any]:
    """Seconds since the epoch by the database's clock, which goes on within a transaction."""
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float)


def _end() -> sa.ColumnElement[Any]:
    return _now() + LEASE_S


def _renumber_round(connection: sa.Connection, key: str) -> None:
    """Of a round that is still choosing, the files may come yet."""
    newest = sa.select(round_.c.number, round_.c.phase, round_.c.n_labeled)
    newest = newest.where(round_.c.key == key).order_by(round_.c.number.desc()).limit(1)
    found = connection.execute(newest).first()
    if found is None or found.phase != phases.SELECT:
        return
    number = found.number + 1
    values = {"number": number, "model_version": versions.model_version(number, found.n_labeled)}
    here = (round_.c.key == key) & (round_.c.number == found.number)
    connection.execute(round_.update().where(here).values(**values))


def _renumber_tuning(connection: sa.Connection, key: str) -> None:
    """Of a network that is being trained, the checkpoint may come yet."""
    here = (tuning.c.key == key) & (tuning.c.phase == phases.TRAIN)
    connection.execute(tuning.update().where(here).values(number=tuning.c.number + 1))
