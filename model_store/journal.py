"""The journal: what is known of every project and how far every round is.

One SQLite file (or any database URL of SQLAlchemy) shared by the web process, which notes what
happened, and the worker, which acts. Every method is one short transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from backend.errors import StoreError
from model_store import schema
from model_store.schema import batch, project, round_, unreadable

Row = TypeVar("Row")
Clock = Callable[[], float]


@dataclass(frozen=True)
class ProjectState:
    """What the journal knows of one project; times are seconds since the epoch."""

    key: str
    project_id: int
    title: str
    label_config: str
    backend_url: str
    access_token: str
    hostname: str
    connected: bool
    changed: int
    seen: int
    training_requested: int
    checked_at: float
    phase: str
    phase_done: int
    phase_total: int
    phase_started_at: float
    labeled: int
    skipped: int
    pool: int
    counters: str
    previous_sampling: str | None
    webhook_id: int | None
    last_error: str | None
    last_error_at: float | None
    batch_progress_at: float


@dataclass(frozen=True)
class RoundState:
    """One active-learning round; `phase` names the step that comes next, or `done`."""

    key: str
    number: int
    phase: str
    strategy: str
    settings: Mapping[str, Any]
    classes: Sequence[str]
    n_labeled: int
    n_pool: int
    model_version: str
    checkpoint: str | None
    features_version: str | None
    statistics: Mapping[str, Any]
    seconds: Mapping[str, float]
    started_at: float
    finished_at: float | None


@dataclass(frozen=True)
class QueuedTask:
    """One task of a round's batch or reserve, in rank order."""

    rank: int
    task_id: int
    cluster: int
    score: float
    is_reserve: bool
    class_name: str | None
    probability: float | None
    prediction_id: int | None = None


@dataclass(frozen=True)
class UnreadableTask:
    """A task that is left out because its image could not be had."""

    task_id: int
    uri: str
    reason: str
    tried_at: float


class Journal:
    """The journal of one Label Studio host."""

    def __init__(self, url: str, clock: Clock = time.time) -> None:
        """Open (and create where needed) the journal at an SQLAlchemy database URL.

        StoreError: the database cannot be opened or written.
        """
        self._engine = sa.create_engine(url, connect_args=_connect_args(url))
        self._clock = clock
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
        try:
            schema.create(self._engine)
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the journal {url} cannot be opened or written: {error}") from error

    @classmethod
    def in_folder(cls, folder: Path, clock: Clock = time.time) -> Journal:
        """The embedded journal of a folder, which is created where needed, for its owner alone.

        It may hold the token that Label Studio sent.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"MODEL_DIR: {folder} cannot be created: {error}") from error
        return cls(f"sqlite:///{folder / 'journal.sqlite'}", clock)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    # What the web process notes

    def note_changed(self, key: str, *, training_requested: bool = False) -> None:
        """Note that something happened in a project."""
        values: dict[str, Any] = {"changed": project.c.changed + 1}
        if training_requested:
            values["training_requested"] = project.c.changed + 1
        with self._engine.begin() as connection:
            self._ensure_project(connection, key)
            connection.execute(project.update().where(project.c.key == key).values(**values))

    def note_setup(
        self, key: str, *, label_config: str, backend_url: str, token: str, hostname: str
    ) -> None:
        """Note what Label Studio says when it connects a project.

        It says the same at every live prediction, and whenever anybody (the worker too) asks it for
        the project's backends: of a project that is kept already only news count as a change.
        """
        said = {"label_config": label_config, "access_token": token, "hostname": hostname}
        is_known = sa.and_(
            project.c.connected,
            project.c.webhook_id.is_not(None),
            *(project.c[name] == value for name, value in said.items()),
        )
        news = sa.case((is_known, 0), else_=1)
        values = {**said, "backend_url": backend_url, "connected": True}
        with self._engine.begin() as connection:
            self._ensure_project(connection, key)
            statement = project.update().where(project.c.key == key)
            connection.execute(statement.values(**values, changed=project.c.changed + news))

    # Projects

    def projects(self) -> list[ProjectState]:
        """All projects, by id."""
        return self._all(ProjectState, sa.select(project).order_by(project.c.project_id))

    def project(self, key: str) -> ProjectState | None:
        """One project, or None where it was never heard of."""
        return self._first(ProjectState, sa.select(project).where(project.c.key == key))

    def key_of(self, project: str) -> str | None:
        """The key of a project named by its key or by its bare id; None where it is unknown."""
        if "." in project or not project.isdigit():
            return project or None
        found = [state.key for state in self.projects() if state.project_id == int(project)]
        return max(found, key=lambda key: int(key.split(".", 1)[1]), default=None)

    def update_project(self, key: str, **values: Any) -> None:
        """Set columns of one project."""
        with self._engine.begin() as connection:
            connection.execute(project.update().where(project.c.key == key).values(**values))

    def set_phase(self, key: str, phase: str, done: int = 0, total: int = 0) -> None:
        """Note the phase that a project is in, and how far it is."""
        started = sa.case((project.c.phase == phase, project.c.phase_started_at), else_=self.now())
        self.update_project(
            key, phase=phase, phase_done=done, phase_total=total, phase_started_at=started
        )

    def set_error(self, key: str, message: str | None) -> None:
        """Note the error that `/status` shows; None clears it."""
        at = None if message is None else self.now()
        self.update_project(key, last_error=message, last_error_at=at)

    # Rounds

    def latest_round(self, key: str) -> RoundState | None:
        """The newest round of a project, open or done."""
        return self._first(RoundState, self._rounds(key).order_by(round_.c.number.desc()))

    def published_round(self, key: str) -> RoundState | None:
        """The newest round that is done: the one that the queue follows."""
        done = self._rounds(key).where(round_.c.phase == "done")
        return self._first(RoundState, done.order_by(round_.c.number.desc()))

    def rounds(self, key: str) -> list[RoundState]:
        """All rounds of a project, oldest first."""
        return self._all(RoundState, self._rounds(key).order_by(round_.c.number))

    def open_round(self, state: RoundState, *, counters: str = "", looked_at: int = 0) -> None:
        """Add a round, and note with it the tasks' counters and the requests that it answers.

        It answers the requests for training up to change `looked_at`: a later one may stand for
        labels that came after the round read the tasks.
        """
        answered = sa.case(
            (project.c.training_requested <= looked_at, 0), else_=project.c.training_requested
        )
        values = {"counters": counters, "training_requested": answered}
        with self._engine.begin() as connection:
            connection.execute(round_.insert().values(**_values(state)))
            connection.execute(project.update().where(project.c.key == state.key).values(**values))

    def update_round(self, state: RoundState, **values: Any) -> RoundState:
        """Set columns of a round; the round as it is now."""
        with self._engine.begin() as connection:
            here = (round_.c.key == state.key) & (round_.c.number == state.number)
            connection.execute(round_.update().where(here).values(**values))
        return RoundState(**{**_values(state), **values})

    # The queue of a round

    def set_queue(self, state: RoundState, tasks: Iterable[QueuedTask]) -> None:
        """Replace a round's batch and reserve."""
        here = (batch.c.key == state.key) & (batch.c.number == state.number)
        rows = [{"key": state.key, "number": state.number, **_values(task)} for task in tasks]
        with self._engine.begin() as connection:
            connection.execute(batch.delete().where(here))
            if rows:
                connection.execute(batch.insert(), rows)

    def queue(self, state: RoundState) -> list[QueuedTask]:
        """A round's batch and reserve in rank order."""
        here = (batch.c.key == state.key) & (batch.c.number == state.number)
        columns = [batch.c[name.name] for name in fields(QueuedTask)]
        return self._all(QueuedTask, sa.select(*columns).where(here).order_by(batch.c.rank))

    def note_prediction(self, state: RoundState, task_id: int, prediction_id: int) -> None:
        """Note that Label Studio holds the prediction of one queued task."""
        here = (
            (batch.c.key == state.key)
            & (batch.c.number == state.number)
            & (batch.c.task_id == task_id)
        )
        with self._engine.begin() as connection:
            connection.execute(batch.update().where(here).values(prediction_id=prediction_id))

    def forget_predictions(self, state: RoundState) -> None:
        """Note that Label Studio holds none of a round's predictions any more."""
        here = (batch.c.key == state.key) & (batch.c.number == state.number)
        with self._engine.begin() as connection:
            connection.execute(batch.update().where(here).values(prediction_id=None))

    # Unreadable tasks

    def set_unreadable(self, key: str, tasks: Iterable[UnreadableTask]) -> None:
        """Replace the list of a project's unreadable tasks."""
        rows = [{"key": key, **_values(task)} for task in tasks]
        with self._engine.begin() as connection:
            connection.execute(unreadable.delete().where(unreadable.c.key == key))
            if rows:
                connection.execute(unreadable.insert(), rows)

    def unreadable(self, key: str) -> list[UnreadableTask]:
        """A project's unreadable tasks, by id."""
        columns = [unreadable.c[name.name] for name in fields(UnreadableTask)]
        here = sa.select(*columns).where(unreadable.c.key == key)
        return self._all(UnreadableTask, here.order_by(unreadable.c.task_id))

    # Inner workings

    def now(self) -> float:
        """The journal's clock."""
        return self._clock()

    def _ensure_project(self, connection: sa.Connection, key: str) -> None:
        found = connection.execute(sa.select(project.c.key).where(project.c.key == key)).first()
        if found is None:
            project_id = int(key.split(".", 1)[0])
            insert = project.insert().prefix_with("OR IGNORE", dialect="sqlite")
            connection.execute(insert.values(key=key, project_id=project_id))

    def _rounds(self, key: str) -> sa.Select:
        return sa.select(round_).where(round_.c.key == key)

    def _all(self, kind: type[Row], statement: sa.Select) -> list[Row]:
        with self._engine.connect() as connection:
            return [kind(**row._mapping) for row in connection.execute(statement)]

    def _first(self, kind: type[Row], statement: sa.Select) -> Row | None:
        found = self._all(kind, statement.limit(1))
        return found[0] if found else None


def _values(state: Any) -> dict[str, Any]:
    return {column.name: getattr(state, column.name) for column in fields(state)}


def _connect_args(url: str) -> dict[str, Any]:
    return {"timeout": 30} if url.startswith("sqlite") else {}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # WAL: the web process reads and notes while the worker writes.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
