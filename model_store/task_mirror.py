"""A mirror of what Label Studio said of every task, and how far the tasks have been read.

Label Studio stays the truth: what the mirror holds is replaced by whatever is read next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from model_store.database import Database, columns_of, values_of
from model_store.schema import project, reading, task

Value = TypeVar("Value", int, str)

# SQLite takes 32,766 values in one statement, PostgreSQL 65,535.
IDS_A_STATEMENT = 10_000
# Of a task, what all tasks are looked at for; an image's URI may be the image itself.
COLUMNS = ("task_id", "image_key", "class_name", "is_done", "is_skipped")


@dataclass(frozen=True)
class MirroredTask:
    """One task. Of `uri` (with `image_key`) and `problem` one is None.

    class_name: what its annotations agree on, of the label config that it was read with.
    is_done: labeled by anybody. is_skipped: skipped, and labeled by nobody.
    annotated_at: seconds since the epoch by Label Studio's clock, of its newest annotation.
    annotated_by: who made that one. annotations: how many it has, submitted and skipped.
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
    annotations: int = 0


@dataclass(frozen=True)
class Reading:
    """How far a project's tasks have been read.

    config: what of the label config decided how they were read.
    newest_change: the newest change that was read, as Label Studio writes it; "" before any.
    newest_read_at: when it was read, by the journal's clock.
    page_count, pages_read: of the first reading, 0 before it began.
    compared_at: when mirror and Label Studio were last compared whole.
    lacking_since: when Label Studio was first found to count annotations that the mirror lacks, by
        the journal's clock; 0 where it does not.
    """

    config: str = ""
    newest_change: str = ""
    newest_read_at: float = 0.0
    page_count: int = 0
    pages_read: Sequence[int] = field(default_factory=tuple)
    compared_at: float = 0.0
    lacking_since: float = 0.0

    @property
    def is_whole(self) -> bool:
        """Whether every task has been read once."""
        return self.page_count > 0 and len(self.pages_read) >= self.page_count


@dataclass(frozen=True)
class Counts:
    """labeled: tasks with a class and an image. pool: those with one that nobody did or skipped.

    annotations: of all tasks, submitted and skipped.
    """

    tasks: int
    labeled: int
    pool: int
    annotations: int


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
        with self._database.transaction(alone=True) as connection:
            connection.execute(reading.delete().where(reading.c.key == key))
            connection.execute(reading.insert().values(key=key, **values))

    # Tasks

    def put(self, key: str, tasks: Sequence[MirroredTask]) -> None:
        """Add tasks, or replace what is known of them.

        With them the project notes how many labels that changes, and that nobody knows how many
        images lack an embedding where one was not known before.
        """
        with self._database.transaction(alone=True) as connection:
            known: dict[int, tuple[str | None, str | None]] = {}
            for ids in parts([one.task_id for one in tasks]):
                known |= _known(connection, key, ids)
                connection.execute(task.delete().where(_are(key, ids)))
            if tasks:
                connection.execute(task.insert(), [{"key": key, **values_of(t)} for t in tasks])
            before = [known.get(one.task_id, (None, None)) for one in tasks]
            pairs = list(zip(tasks, before, strict=True))
            labels = sum(one.class_name != class_name for one, (_, class_name) in pairs)
            is_new_image = any(one.image_key != image_key for one, (image_key, _) in pairs)
            _note_changes(connection, key, labels, is_new_image)

    def remove(self, key: str, task_ids: Sequence[int]) -> None:
        """Forget tasks; with them the project notes how many labels went."""
        with self._database.transaction(alone=True) as connection:
            for ids in parts(task_ids):
                known = _known(connection, key, ids)
                connection.execute(task.delete().where(_are(key, ids)))
                labels = sum(class_name is not None for _, class_name in known.values())
                _note_changes(connection, key, labels)

    def ids(self, key: str) -> list[int]:
        """The ids of all tasks, ascending."""
        statement = sa.select(task.c.task_id).where(task.c.key == key).order_by(task.c.task_id)
        with self._database.engine.connect() as connection:
            return [int(row[0]) for row in connection.execute(statement)]

    def open_ids(self, key: str) -> list[int]:
        """The ids of the tasks that wait for a label, in the order of their images' digests."""
        statement = sa.select(task.c.task_id).where(task.c.key == key, _is_open())
        with self._database.engine.connect() as connection:
            rows = connection.execute(statement.order_by(task.c.image_key, task.c.task_id))
            return [int(row[0]) for row in rows]

    def known_among(self, key: str, task_ids: Sequence[int]) -> set[int]:
        """Those of the named tasks that the project has."""
        found: set[int] = set()
        with self._database.engine.connect() as connection:
            for ids in parts(task_ids):
                rows = connection.execute(sa.select(task.c.task_id).where(_are(key, ids)))
                found |= {int(row[0]) for row in rows}
        return found

    def open_among(self, key: str, task_ids: Sequence[int]) -> set[int]:
        """Those of the named tasks that wait for a label."""
        found: set[int] = set()
        with self._database.engine.connect() as connection:
            for ids in parts(task_ids):
                statement = sa.select(task.c.task_id).where(_are(key, ids), _is_open())
                found |= {int(row[0]) for row in connection.execute(statement)}
        return found

    def sources(self, key: str, image_keys: Sequence[str]) -> dict[str, tuple[str, int]]:
        """URI and one task of each of the named images that a task still has, by its key."""
        found: dict[str, tuple[str, int]] = {}
        columns = task.c.image_key, task.c.uri, task.c.task_id
        with self._database.engine.connect() as connection:
            for part in parts(image_keys):
                statement = sa.select(*columns).where(task.c.key == key, task.c.image_key.in_(part))
                rows = connection.execute(statement.order_by(task.c.task_id))
                found |= {row[0]: (row[1], int(row[2])) for row in rows}
        return found

    def without_image(self, key: str) -> list[MirroredTask]:
        """The tasks whose data names no image, by id."""
        statement = sa.select(*columns_of(MirroredTask, task)).where(
            task.c.key == key, task.c.problem.is_not(None)
        )
        return self._database.all(MirroredTask, statement.order_by(task.c.task_id))

    def counts(self, key: str) -> Counts:
        """How many tasks are what."""
        is_labeled = task.c.class_name.is_not(None) & task.c.uri.is_not(None)
        sums = _sum(is_labeled), _sum(_is_open()), sa.func.sum(task.c.annotations)
        statement = sa.select(sa.func.count(), *sums).where(task.c.key == key)
        with self._database.engine.connect() as connection:
            row = connection.execute(statement).one()
        return Counts(*(int(count or 0) for count in row))

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
        """The COLUMNS of all tasks with an image, by id: lists, and arrays of ids and flags."""
        statement = (
            sa.select(*(task.c[name] for name in COLUMNS))
            .where(task.c.key == key, task.c.uri.is_not(None))
            .order_by(task.c.task_id)
        )
        with self._database.engine.connect() as connection:
            rows = connection.execute(statement).all()
        columns: dict[str, Any] = dict(
            zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)
            if rows
            else ((name, []) for name in COLUMNS)
        )
        columns["task_id"] = np.array(columns["task_id"], dtype=np.int64)
        for name in ("is_done", "is_skipped"):
            columns[name] = np.array(columns[name], dtype=bool)
        return columns


def _known(
    connection: sa.Connection, key: str, ids: Sequence[int]
) -> dict[int, tuple[str | None, str | None]]:
    """Image key and class of those of the named tasks that are known, by id."""
    statement = sa.select(task.c.task_id, task.c.image_key, task.c.class_name).where(_are(key, ids))
    return {int(row[0]): (row[1], row[2]) for row in connection.execute(statement)}


def _note_changes(
    connection: sa.Connection, key: str, labels: int, is_new_image: bool = False
) -> None:
    values: dict[str, Any] = {"label_changes": project.c.label_changes + labels} if labels else {}
    if is_new_image:
        values["unembedded"] = None
    if values:
        connection.execute(project.update().where(project.c.key == key).values(**values))


def _is_open() -> sa.ColumnElement[bool]:
    return sa.not_(task.c.is_done) & sa.not_(task.c.is_skipped) & task.c.uri.is_not(None)


def _are(key: str, ids: Sequence[int]) -> sa.ColumnElement[bool]:
    return (task.c.key == key) & task.c.task_id.in_(ids)


def _sum(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((which, 1), else_=0))


def parts(ids: Sequence[Value]) -> list[Sequence[Value]]:
    """Ids or keys in portions that fit into one statement."""
    return [ids[start : start + IDS_A_STATEMENT] for start in range(0, len(ids), IDS_A_STATEMENT)]
