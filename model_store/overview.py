"""What the admin's pages show of a project, in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from model_store.database import Database, columns_of
from model_store.schema import batch, task, tuning, unreadable
from model_store.tunings import Tuning


@dataclass(frozen=True)
class ServedTask:
    """One task of a round's batch, and what became of it.

    predicted, probability: what people are shown as chosen; None where they are shown nothing.
    class_name: its label. image_key: None where it has no image, or is gone.
    """

    rank: int
    task_id: int
    predicted: str | None
    probability: float | None
    image_key: str | None
    class_name: str | None
    is_done: bool
    is_skipped: bool


@dataclass(frozen=True)
class ClassCount:
    """How many tasks carry a label."""

    class_name: str
    count: int


@dataclass(frozen=True)
class LeftOut:
    """A task without an image that can be had. uri: "" where its data names none."""

    task_id: int
    uri: str
    reason: str


@dataclass(frozen=True)
class Kept:
    """How many labeled tasks of a round showed a class as chosen, and of how many it was kept."""

    kept: int
    total: int


class Overview:
    """Read-only: what no worker needs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch(self, key: str, number: int, start: int, count: int) -> list[ServedTask]:
        """Tasks of a round's batch in rank order, from the one at place `start` on."""
        is_same = (task.c.key == batch.c.key) & (task.c.task_id == batch.c.task_id)
        statement = (
            sa.select(
                *(batch.c.rank, batch.c.task_id, batch.c.class_name.label("predicted")),
                *(batch.c.probability, task.c.image_key, task.c.class_name),
                sa.func.coalesce(task.c.is_done, sa.false()).label("is_done"),
                sa.func.coalesce(task.c.is_skipped, sa.false()).label("is_skipped"),
            )
            .outerjoin(task, is_same)
            .where(batch.c.key == key, batch.c.number == number, sa.not_(batch.c.is_reserve))
            .order_by(batch.c.rank)
        )
        return self._database.all(ServedTask, statement.offset(start).limit(count))

    def kept(self, key: str, number: int) -> Kept:
        """What became of the predictions that a round published for its labeled tasks."""
        is_same = (task.c.key == batch.c.key) & (task.c.task_id == batch.c.task_id)
        is_kept = sa.case((batch.c.class_name == task.c.class_name, 1), else_=0)
        kept = sa.func.coalesce(sa.func.sum(is_kept), 0).label("kept")
        statement = (
            sa.select(kept, sa.func.count().label("total"))
            .join(task, is_same)
            .where(
                *(batch.c.key == key, batch.c.number == number),
                *(batch.c.prediction_id.is_not(None), batch.c.class_name.is_not(None)),
                task.c.class_name.is_not(None),
            )
        )
        return self._database.all(Kept, statement)[0]

    def class_counts(self, key: str) -> list[ClassCount]:
        """The labels of a project's tasks, the most frequent first."""
        count = sa.func.count().label("count")
        statement = (
            sa.select(task.c.class_name, count)
            .where(task.c.key == key, task.c.class_name.is_not(None))
            .group_by(task.c.class_name)
            .order_by(count.desc(), task.c.class_name)
        )
        return self._database.all(ClassCount, statement)

    def left_out(self, key: str, count: int) -> tuple[int, list[LeftOut]]:
        """How many tasks have no image that can be had, and the first of them by id."""
        nameless = sa.select(
            task.c.task_id, sa.literal("").label("uri"), task.c.problem.label("reason")
        ).where(task.c.key == key, task.c.problem.is_not(None))
        gone = sa.select(unreadable.c.task_id, unreadable.c.uri, unreadable.c.reason)
        found = nameless.union_all(gone.where(unreadable.c.key == key)).subquery()
        total = self._database.scalar(sa.select(sa.func.count()).select_from(found))
        first = sa.select(found).order_by(found.c.task_id).limit(count)
        return int(total or 0), self._database.all(LeftOut, first)

    def networks(self, key: str, count: int) -> list[Tuning]:
        """The last fine-tuned networks of a project, newest first."""
        statement = sa.select(*columns_of(Tuning, tuning)).where(tuning.c.key == key)
        return self._database.all(Tuning, statement.order_by(tuning.c.number.desc()).limit(count))

    def source(self, key: str, task_id: int) -> tuple[str, str] | None:
        """Image key and URI of one task; None where it has no image, or is not known."""
        statement = sa.select(task.c.image_key, task.c.uri).where(
            task.c.key == key, task.c.task_id == task_id, task.c.uri.is_not(None)
        )
        found = next(iter(self._database.rows(statement)), None)
        return None if found is None else (found.image_key, found.uri)

    def pool_images(self, key: str) -> tuple[list[int], list[str]]:
        """The tasks that wait for a label, and the key of each one's image."""
        statement = sa.select(task.c.task_id, task.c.image_key).where(
            task.c.key == key,
            *(sa.not_(task.c.is_done), sa.not_(task.c.is_skipped), task.c.uri.is_not(None)),
        )
        with self._database.engine.connect() as connection:
            rows = connection.execute(statement).all()
        return [row[0] for row in rows], [row[1] for row in rows]

    def classes_of(self, key: str, task_ids: Sequence[int]) -> dict[int, str]:
        """The labels of those of some 10,000 tasks at most that carry one."""
        statement = sa.select(task.c.task_id, task.c.class_name).where(
            task.c.key == key, task.c.task_id.in_(task_ids), task.c.class_name.is_not(None)
        )
        return {row.task_id: row.class_name for row in self._database.rows(statement)}
