"""The journal's own upkeep: whether it can be read and written, and which rows it may forget.

The rule: a project that has been disconnected for 30 days goes with all its rows; of every project
the last 200 rounds and networks stay, and of unreadable images those whose task is still there.
"""

from __future__ import annotations

import sqlalchemy as sa

from model_store import phases
from model_store.database import Database
from model_store.schema import (
    asked,
    audit,
    batch,
    lease,
    project,
    reading,
    round_,
    task,
    tuning,
    unreadable,
)

KEPT_ROWS = 200
# Tables whose rows belong to a project.
OF_A_PROJECT = (
    *(project, round_, batch, unreadable, tuning, task, reading, lease),
    *(audit, asked),
)


class Upkeep:
    """What is done to the journal as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def verify(self) -> None:
        """Read everything. JournalDamagedError: something cannot be read."""
        self._database.verify()

    def probe(self) -> None:
        """Read and write a little, without waiting for anybody. JournalError: it cannot be done."""
        self._database.probe()

    def limit_waiting(self, busy_s: float) -> None:
        """Wait for another process that writes no longer than this from now on."""
        self._database.limit_waiting(busy_s)

    def stamp(self) -> tuple[int, ...]:
        """Numbers of which one is another when anything happened; the first, when a round ended."""
        counts = (
            sa.select(sa.func.count()).where(round_.c.phase == phases.DONE),
            sa.select(sa.func.coalesce(sa.func.sum(project.c.changed), 0)),
            sa.select(sa.func.coalesce(sa.func.sum(project.c.label_changes), 0)),
            sa.select(sa.func.count()).select_from(batch),
            sa.select(sa.func.count()).select_from(tuning),
        )
        return tuple(int(self._database.scalar(count)) for count in counts)

    def rewind(self) -> None:
        """Prepare for a world that went on since: this is an earlier state of the journal.

        What was under way is forgotten. Of the round that a queue followed Label Studio may hold
        predictions that are not known here: its phase says that they are to be read.
        """
        done = round_.c.phase == phases.DONE
        newest = sa.select(sa.func.max(round_.c.number)).where(done).group_by(round_.c.key)
        here = newest.add_columns(round_.c.key)
        place = sa.tuple_(round_.c.number, round_.c.key)
        self._database.write(
            round_.delete().where(sa.not_(done)),
            _without_round(),
            round_.update().where(place.in_(here)).values(phase=phases.RECALL),
        )

    def drop_gone_projects(self, before: float) -> list[str]:
        """The keys of the projects that are forgotten: disconnected, and last seen before then.

        One in which something happened since it was looked at is not among them.
        """
        times = project.c.checked_at, project.c.phase_started_at
        last_seen = sa.case((times[0] > times[1], times[0]), else_=times[1])
        is_gone = sa.and_(
            sa.not_(project.c.connected), project.c.changed == project.c.seen, last_seen < before
        )
        with self._database.transaction() as connection:
            found = [row[0] for row in connection.execute(sa.select(project.c.key).where(is_gone))]
            for table in OF_A_PROJECT if found else ():
                connection.execute(table.delete().where(table.c.key.in_(found)))
        return found

    def drop_old_rows(self) -> None:
        """Forget what nobody asks for any more of the projects that stay."""
        is_there = sa.select(task.c.task_id).where(
            task.c.key == unreadable.c.key, task.c.task_id == unreadable.c.task_id
        )
        self._database.write(
            _all_but_the_last(round_),
            _all_but_the_last(tuning),
            _without_round(),
            unreadable.delete().where(sa.not_(is_there.exists())),
            lease.delete().where(lease.c.key.not_in(sa.select(project.c.key))),
        )


def _all_but_the_last(table: sa.Table) -> sa.Delete:
    other = table.alias()
    newest = sa.select(sa.func.max(other.c.number)).where(other.c.key == table.c.key)
    return table.delete().where(table.c.number <= newest.scalar_subquery() - KEPT_ROWS)


def _without_round() -> sa.Delete:
    """Of the queues, those whose round is forgotten."""
    here = (round_.c.key == batch.c.key) & (round_.c.number == batch.c.number)
    return batch.delete().where(sa.not_(sa.exists().where(here)))
