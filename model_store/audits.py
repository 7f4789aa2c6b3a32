"""Tasks drawn at random to measure the heads: what each gave before anybody labeled them.

A draw counts with the label that the task has now. Once a later round serves the task without one,
the draw is closed: whoever labels it from then on was served it because it was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from model_store.database import Database, columns_of, values_of
from model_store.schema import audit, task


@dataclass(frozen=True)
class Draw:
    """One task that a round drew at random.

    n_labeled: how many labels the round's head was fitted on. share: how likely each task of the
        pool was to be drawn.
    probabilities: of each class, by its name, as the head gave them.
    """

    task_id: int
    n_labeled: int
    share: float
    probabilities: Mapping[str, float]

    @property
    def predicted(self) -> str:
        """The class that the head gave."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True)
class AuditedTask:
    """A draw of round `number`, and what became of it.

    class_name: its label, None where it has none that counts. is_skipped: somebody skipped it.
    """

    number: int
    draw: Draw
    class_name: str | None
    is_skipped: bool
    is_closed: bool

    @property
    def is_measured(self) -> bool:
        """Whether what the head gave can be held against a label."""
        return not self.is_closed and self.class_name in self.draw.probabilities


class Audits:
    """The journal's table of draws."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, key: str, number: int, draws: Sequence[Draw]) -> None:
        """Note what a round drew, instead of what was noted for it before."""
        here = (audit.c.key == key) & (audit.c.number == number)
        rows = [{"key": key, "number": number, **values_of(draw)} for draw in draws]
        with self._database.transaction(alone=True) as connection:
            connection.execute(audit.delete().where(here))
            if rows:
                connection.execute(audit.insert(), rows)

    def of(self, key: str) -> list[AuditedTask]:
        """All draws of a project whose task is still there, by round and task."""
        columns = [*columns_of(Draw, audit), audit.c.number, audit.c.is_closed]
        statement = (
            sa.select(*columns, task.c.class_name, task.c.is_skipped)
            .join(task, (task.c.key == audit.c.key) & (task.c.task_id == audit.c.task_id))
            .where(audit.c.key == key)
            .order_by(audit.c.number, audit.c.task_id)
        )
        return [_audited(row) for row in self._database.rows(statement)]

    def open_ids(self, key: str) -> set[int]:
        """The tasks that are to be labeled without a hint: drawn, not closed, without a label."""
        statement = (
            sa.select(audit.c.task_id)
            .join(task, (task.c.key == audit.c.key) & (task.c.task_id == audit.c.task_id))
            .where(audit.c.key == key, sa.not_(audit.c.is_closed), sa.not_(task.c.is_done))
        )
        return {row.task_id for row in self._database.rows(statement)}


def closing(key: str, number: int, task_ids: Sequence[int]) -> sa.Update:
    """What closes the draws of rounds before `number` that still wait for a label.

    So tasks that are labeled or skipped must not be among `task_ids`.
    """
    is_earlier = (audit.c.key == key) & (audit.c.number < number)
    return audit.update().where(is_earlier, audit.c.task_id.in_(task_ids)).values(is_closed=True)


def _audited(row: sa.Row) -> AuditedTask:
    return AuditedTask(
        number=row.number,
        draw=Draw(row.task_id, row.n_labeled, row.share, row.probabilities),
        class_name=row.class_name,
        is_skipped=row.is_skipped,
        is_closed=row.is_closed,
    )
