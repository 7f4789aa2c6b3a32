"""Tasks drawn at random to measure the heads: what each gave before anybody labeled them.

A draw counts with the label that the task has now. Once a later round serves the task without one,
the draw is closed: whoever labels it from then on was served it because it was chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

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


@dataclass(frozen=True)
class MeasuredRound:
    """How often the head of round `number`, on `n_labeled` labels, was right in measured draws."""

    number: int
    n_labeled: int
    right: int
    total: int


class Audits:
    """The journal's table of draws.

    A row with the probabilities of many classes takes long to read: what can do without does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, key: str, number: int, draws: Sequence[Draw]) -> None:
        """Note what a round drew, instead of what was noted for it before."""
        here = (audit.c.key == key) & (audit.c.number == number)
        rows = [
            {"key": key, "number": number, "predicted": draw.predicted, **values_of(draw)}
            for draw in draws
        ]
        with self._database.transaction(alone=True) as connection:
            connection.execute(audit.delete().where(here))
            if rows:
                connection.execute(audit.insert(), rows)

    def of(self, key: str, since: int = 0) -> list[AuditedTask]:
        """The draws of round `since` and later whose task is still there, by round and task."""
        return self._audited(key, audit.c.number >= since)

    def among(self, key: str, number: int, task_ids: Sequence[int]) -> list[AuditedTask]:
        """Those of some 10,000 tasks at most that round `number` drew, by id."""
        return self._audited(key, audit.c.number == number, audit.c.task_id.in_(task_ids))

    def count(self, key: str) -> int:
        """How many draws of a project were ever noted."""
        statement = sa.select(sa.func.count()).select_from(audit).where(audit.c.key == key)
        return int(self._database.scalar(statement))

    def measured_rounds(self, key: str) -> list[MeasuredRound]:
        """The rounds of which any draw is measured, by number."""
        is_right = sa.case((audit.c.predicted == task.c.class_name, 1), else_=0)
        group = (audit.c.number, audit.c.n_labeled, task.c.class_name)
        statement = (
            sa.select(*group, sa.func.sum(is_right).label("right"), sa.func.count().label("total"))
            .join(task, _is_task())
            .where(audit.c.key == key, sa.not_(audit.c.is_closed), task.c.class_name.is_not(None))
            .group_by(*group)
            .order_by(*group)
        )
        classes = self._classes(key)
        rows = (
            one for one in self._database.rows(statement) if one.class_name in classes[one.number]
        )
        found = {head: list(each) for head, each in groupby(rows, key=lambda row: row[:2])}
        return [
            MeasuredRound(
                number,
                n_labeled,
                right=sum(row.right for row in each),
                total=sum(row.total for row in each),
            )
            for (number, n_labeled), each in found.items()
        ]

    def open_ids(self, key: str) -> set[int]:
        """The tasks that are to be labeled without a hint: drawn, not closed, without a label."""
        statement = (
            sa.select(audit.c.task_id)
            .join(task, _is_task())
            .where(audit.c.key == key, sa.not_(audit.c.is_closed), sa.not_(task.c.is_done))
        )
        return {row.task_id for row in self._database.rows(statement)}

    def _audited(self, key: str, *which: sa.ColumnElement[bool]) -> list[AuditedTask]:
        columns = [*columns_of(Draw, audit), audit.c.number, audit.c.is_closed]
        statement = (
            sa.select(*columns, task.c.class_name, task.c.is_skipped)
            .join(task, _is_task())
            .where(audit.c.key == key, *which)
            .order_by(audit.c.number, audit.c.task_id)
        )
        return [_audited(row) for row in self._database.rows(statement)]

    def _classes(self, key: str) -> dict[int, Collection[str]]:
        """What the head of each round told apart: the same in all of its draws."""
        first = sa.select(audit.c.number, sa.func.min(audit.c.task_id).label("task_id"))
        one = first.where(audit.c.key == key).group_by(audit.c.number).subquery()
        is_one = (audit.c.number == one.c.number) & (audit.c.task_id == one.c.task_id)
        statement = sa.select(audit.c.number, audit.c.probabilities).join(one, is_one)
        rows = self._database.rows(statement.where(audit.c.key == key))
        return {row.number: row.probabilities for row in rows}


def closing(key: str, number: int, task_ids: Sequence[int]) -> sa.Update:
    """What closes the draws of rounds before `number` that still wait for a label.

    So tasks that are labeled or skipped must not be among `task_ids`.
    """
    is_earlier = (audit.c.key == key) & (audit.c.number < number)
    return audit.update().where(is_earlier, audit.c.task_id.in_(task_ids)).values(is_closed=True)


def _is_task() -> sa.ColumnElement[bool]:
    return (task.c.key == audit.c.key) & (task.c.task_id == audit.c.task_id)


def _audited(row: sa.Row) -> AuditedTask:
    return AuditedTask(
        number=row.number,
        draw=Draw(row.task_id, row.n_labeled, row.share, row.probabilities),
        class_name=row.class_name,
        is_skipped=row.is_skipped,
        is_closed=row.is_closed,
    )
