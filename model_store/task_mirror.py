"""A mirror of what Label Studio said of every task, and how far the tasks have been read.

Label Studio stays the truth: what the mirror holds is replaced by whatever is read next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import sqlalchemy as sa

from model_store.database import Database, columns_of, values_of
from model_store.schema import reading, task

# SQLite takes 32,766 values in one statement.
IDS_A_STATEMENT = 10_000


@dataclass(frozen=True)
class MirroredTask:
    """One task. Of `uri` (with `image_key`) and `problem` one is None.

    class_name: what its annotations agree on, of the label config that it was read with.
    is_done: labeled by anybody. is_skipped: skipped, and labeled by nobody.
    annotated_at: seconds since the epoch by Label Studio's clock, of its newest annotation.
    annotated_by: who made that one.
    """

    task_id: int
    uri: str | None
    problem: str | None
    image_key: str | None
    class_name: str | None
    is_done: bool
    is_skipped: bool
    annotated_at: float | None
    annotated_by: int | None


@dataclass(frozen=True)
class Reading:
    """How far a project's tasks have been read.

    config: what of the label config decided how they were read.
    newest_change: the newest change that was read, as Label Studio writes it; "" before any.
    newest_read_at: when it was read, by the journal's clock.
    page_count, pages_read: of the first reading, 0 before it began.
    compared_at: when mirror and Label Studio were last compared whole.
    """

    config: str = ""
    newest_change: str = ""
    newest_read_at: float = 0.0
    page_count: int = 0
    pages_read: Sequence[int] = field(default_factory=tuple)
    compared_at: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether every task has been read once."""
        return self.page_count > 0 and len(self.pages_read) >= self.page_count


@dataclass(frozen=True)
class Counts:
    """labeled: tasks with a class and an image. pool: those with one that nobody did or skipped."""

    tasks: int
    labeled: int
    pool: int


@dataclass(frozen=True)
class Pace:
    """labels: given since some moment. annotators: how many people gave them."""

    labels: int
    annotators: int


class TaskMirror:
    """The journal's table of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Reading

    def reading(self, key: str) -> Reading:
        """How far a project's tasks have been read."""
        statement = sa.select(*columns_of(Reading, reading)).where(reading.c.key == key)
        return self._database.first(Reading, statement) or Reading()

    def set_reading(self, key: str, state: Reading) -> None:
        """Note how far the tasks have been read."""
        values = values_of(state) | {"pages_read": list(state.pages_read)}
        self._database.write(
            reading.delete().where(reading.c.key == key),
            reading.insert().values(key=key, **values),
        )

    # Tasks

    def put(self, key: str, tasks: Sequence[MirroredTask]) -> int:
        """Add tasks, or replace what is known of them; how many have an image not known before."""
        known = self.some(key, [one.task_id for one in tasks])
        with self._database.engine.begin() as connection:
            for ids in parts(list(known)):
                connection.execute(task.delete().where(_are(key, ids)))
            if tasks:
                connection.execute(task.insert(), [{"key": key, **values_of(t)} for t in tasks])
        images = {task_id: one.image_key for task_id, one in known.items()}
        return sum(images.get(one.task_id, "") != one.image_key for one in tasks)

    def remove(self, key: str, task_ids: Sequence[int]) -> None:
        """Forget tasks."""
        self._database.write(*(task.delete().where(_are(key, ids)) for ids in parts(task_ids)))

    def ids(self, key: str) -> list[int]:
        """The ids of all tasks, ascending."""
        statement = sa.select(task.c.task_id).where(task.c.key == key).order_by(task.c.task_id)
        with self._database.engine.connect() as connection:
            return [int(row[0]) for row in connection.execute(statement)]

    def open_ids(self, key: str) -> list[int]:
        """The ids of the tasks that wait for a label, in the order of their images' digests."""
        is_open = sa.not_(task.c.is_done) & sa.not_(task.c.is_skipped) & task.c.uri.is_not(None)
        statement = sa.select(task.c.task_id).where(task.c.key == key, is_open)
        with self._database.engine.connect() as connection:
            rows = connection.execute(statement.order_by(task.c.image_key, task.c.task_id))
            return [int(row[0]) for row in rows]

    def some(self, key: str, task_ids: Sequence[int]) -> dict[int, MirroredTask]:
        """Those of the named tasks that are known, by id."""
        found: dict[int, MirroredTask] = {}
        for ids in parts(task_ids):
            statement = sa.select(*columns_of(MirroredTask, task)).where(_are(key, ids))
            found |= {t.task_id: t for t in self._database.all(MirroredTask, statement)}
        return found

    def without_image(self, key: str) -> list[MirroredTask]:
        """The tasks whose data names no image, by id."""
        statement = sa.select(*columns_of(MirroredTask, task)).where(
            task.c.key == key, task.c.problem.is_not(None)
        )
        return self._database.all(MirroredTask, statement.order_by(task.c.task_id))

    def counts(self, key: str) -> Counts:
        """How many tasks are what."""
        is_open = sa.not_(task.c.is_done) & sa.not_(task.c.is_skipped) & task.c.uri.is_not(None)
        is_labeled = task.c.class_name.is_not(None) & task.c.uri.is_not(None)
        sums = _sum(is_labeled), _sum(is_open)
        statement = sa.select(sa.func.count(), *sums).where(task.c.key == key)
        with self._database.engine.connect() as connection:
            row = connection.execute(statement).one()
        return Counts(*(count or 0 for count in row))

    def pace(self, key: str, since: float) -> Pace:
        """The tasks labeled or skipped since a moment of Label Studio's clock, and by how many."""
        statement = sa.select(
            sa.func.count(), sa.func.count(sa.distinct(task.c.annotated_by))
        ).where(task.c.key == key, task.c.annotated_at >= since)
        with self._database.engine.connect() as connection:
            labels, annotators = connection.execute(statement).one()
        return Pace(labels, annotators)

    def newest_annotation(self, key: str) -> float | None:
        """The moment of the newest annotation, by Label Studio's clock."""
        return self._database.scalar(
            sa.select(sa.func.max(task.c.annotated_at)).where(task.c.key == key)
        )

    def columns(self, key: str) -> dict[str, Any]:
        """All tasks with an image as columns, by id: lists, and arrays where they hold flags."""
        names = [column.name for column in fields(MirroredTask)]
        statement = (
            sa.select(*columns_of(MirroredTask, task))
            .where(task.c.key == key, task.c.uri.is_not(None))
            .order_by(task.c.task_id)
        )
        with self._database.engine.connect() as connection:
            rows = connection.execute(statement).all()
        columns: dict[str, Any] = dict(
            zip(names, map(list, zip(*rows, strict=True)), strict=True)
            if rows
            else ((name, []) for name in names)
        )
        columns["task_id"] = np.array(columns["task_id"], dtype=np.int64)
        for name in ("is_done", "is_skipped"):
            columns[name] = np.array(columns[name], dtype=bool)
        return columns


def _are(key: str, ids: Sequence[int]) -> sa.ColumnElement[bool]:
    return (task.c.key == key) & task.c.task_id.in_(ids)


def _sum(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((which, 1), else_=0))


def parts(ids: Sequence[int]) -> list[Sequence[int]]:
    """Ids in portions that fit into one statement."""
    return [ids[start : start + IDS_A_STATEMENT] for start in range(0, len(ids), IDS_A_STATEMENT)]
