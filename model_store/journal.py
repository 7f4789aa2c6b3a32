"""The journal: what is known of every project and how far every round is.

Shared by the web process, which notes what happened, and the worker, which acts, in short
transactions.
"""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from backend.errors import StoreError
from model_store import phases, versions
from model_store.asked import Asked
from model_store.audits import Audits, closing
from model_store.database import BUSY_S, Clock, Database, columns_of, values_of
from model_store.files import make_private_folder, write_bytes
from model_store.leases import Lease, Leases, fence
from model_store.overview import Overview
from model_store.schema import audit, batch, instance, project, round_, task, unreadable
from model_store.task_mirror import TaskMirror, parts
from model_store.tunings import Tunings
from model_store.upkeep import Upkeep

# The file of an embedded journal, in the folder of its Label Studio.
JOURNAL_NAME = "journal.sqlite"
# In the folder of a journal that several machines share: the name of that journal.
MARK_NAME = "journal.name"

# Projects that Label Studio has not confirmed yet; one more takes the place of the oldest.
UNCONFIRMED_PROJECTS = 50


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
    previous_sampling: str | None
    webhook_id: int | None
    last_error: str | None
    last_error_at: float | None
    background: str
    background_done: int
    background_total: int
    background_started_at: float
    embedded: int
    unembedded: int | None
    users: int
    tab_id: int | None
    background_error: str | None
    label_changes: int
    annotations: int
    row_id: int | None
    row_url: str
    setups: int
    offered_token: str
    offered_hostname: str
    drafts_read_at: float
    own_settings: Mapping[str, str]
    is_paused: bool
    backtest: str
    backtest_done: int
    backtest_total: int
    backtest_error: str | None
    backtest_at: float

    @property
    def is_confirmed(self) -> bool:
        """Whether Label Studio ever confirmed that the project names this backend.

        Before, a stranger may have made it up.
        """
        return self.row_id is not None or self.webhook_id is not None


@dataclass(frozen=True)
class RoundState:
    """One active-learning round; `phase` names the step that comes next, or `done`.

    tuning: number of the network whose embeddings it chose from, `n_embedded` of them.
    features_version: names these in the store; None before it chose, and where that is not known.
    label_changes: the project's, when the round was opened.
    """

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
    tuning: int = 0
    n_embedded: int = 0
    label_changes: int = 0


@dataclass(frozen=True)
class QueuedTask:
    """One task that a round published, or is about to; `is_reserve` where it is past the batch."""

    rank: int
    task_id: int
    cluster: int
    score: float
    is_reserve: bool
    class_name: str | None
    probability: float | None
    prediction_id: int | None = None


@dataclass(frozen=True)
class QueueProgress:
    """How far people are through what a round published.

    queued: tasks published or about to be. batch, batch_done: those of the batch, and how many of
        them were labeled, skipped or deleted.
    waiting: published tasks that nobody labeled, skipped or put off yet; somebody may hold one.
    """

    queued: int
    batch: int
    batch_done: int
    waiting: int


@dataclass(frozen=True)
class UnreadableTask:
    """A task that is left out because its image could not be had."""

    task_id: int
    uri: str
    reason: str
    tried_at: float


class Journal:
    """The journal of one Label Studio host.

    tasks: what Label Studio said of every task. tunings: the networks that embed the pool. audits:
    tasks drawn to measure the heads. asked: tasks that the admin wants first. overview: what
    pages show. upkeep: what is done to the journal as a whole. Every method raises JournalError.
    """

    def __init__(self, url: str, clock: Clock = time.time, *, busy_s: float = BUSY_S) -> None:
        """Open (and create where needed) the journal at an SQLAlchemy database URL.

        busy_s: how long another process that writes is waited for.
        StoreError: the database cannot be opened or written, or a later release wrote it.
        """
        self._work_on(Database(url, clock, busy_s=busy_s))

    def _work_on(self, database: Database) -> None:
        self._database = database
        self.tasks = TaskMirror(database)
        self.tunings = Tunings(database)
        self.audits = Audits(database)
        self.asked = Asked(database)
        self.overview = Overview(database)
        self.upkeep = Upkeep(database)

    @classmethod
    def in_folder(cls, folder: Path, clock: Clock = time.time) -> Journal:
        """The embedded journal of a folder, which is created where needed, for its owner alone.

        It may hold the token that Label Studio sent.
        """
        make_private_folder(folder)
        return cls(url_of(folder / JOURNAL_NAME), clock)

    @classmethod
    def shared_by(cls, folder: Path, url: str, clock: Clock = time.time) -> Journal:
        """The journal that several machines share, of a folder that they share as well.

        StoreError: it cannot be opened, or it belongs to another folder.
        """
        make_private_folder(folder)
        journal = cls(url, clock)
        try:
            journal._belong_to(folder)
        except StoreError:
            journal.close()
            raise
        return journal

    @property
    def is_embedded(self) -> bool:
        """Whether it is a file below MODEL_DIR, of one worker."""
        return self._database.is_embedded

    def leases(self, holder: str) -> Leases:
        """The right to write of a project, where several workers share the journal.

        holder: a name that no other worker has or had.
        """
        return Leases(self._database, holder)

    def under(self, lease: Lease) -> Journal:
        """The same journal for whoever holds a lease.

        Whatever writes raises LeaseLostError, and writes nothing, once somebody else took it.
        """
        fenced = copy.copy(self)
        fenced._work_on(self._database.under(fence(lease)))
        return fenced

    def now(self) -> float:
        """Seconds since the epoch, by the journal's clock."""
        return self._database.now()

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def instance(self) -> str:
        """A name that no other MODEL_DIR has."""
        with self._database.transaction() as connection:
            insert = self._database.insert_if_missing(instance)
            connection.execute(insert.values(number=1, name=uuid.uuid4().hex))
            return str(connection.execute(sa.select(instance.c.name)).scalar_one())

    # What the web process notes

    def note_changed(
        self, key: str, *, training_requested: bool = False, look_at_connection: bool = False
    ) -> None:
        """Note that something happened in a project, perhaps to its connection."""
        values: dict[str, Any] = {"changed": project.c.changed + 1}
        if look_at_connection:
            values["checked_at"] = 0.0
        if training_requested:
            values["training_requested"] = project.c.changed + 1
        with self._database.transaction() as connection:
            self._ensure_project(connection, key)
            connection.execute(project.update().where(project.c.key == key).values(**values))

    def note_setup(self, key: str, *, backend_url: str, token: str, hostname: str) -> None:
        """Note what a call of /setup says, which Label Studio makes when it connects a project.

        It says the same at every live prediction, and whenever anybody (the worker too) asks it for
        the project's backends: of a project that is kept already only news count as a change.
        Anybody may call: of a confirmed project another token is only noted as offered.
        """
        with self._database.transaction() as connection:
            self._ensure_project(connection, key)
            offer = {"offered_token": token, "offered_hostname": hostname}
            statement = project.update().where(project.c.key == key)
            is_offer = _is_confirmed() & (sa.literal(not token) | (project.c.access_token != token))
            is_news = sa.or_(*(project.c[name] != value for name, value in offer.items()))
            changed = project.c.changed + sa.case((is_news, 1), else_=0)
            found = connection.execute(statement.where(is_offer).values(**offer, changed=changed))
            if found.rowcount:
                return
            said = {"access_token": token, "hostname": hostname}
            is_same = sa.and_(*(project.c[name] == value for name, value in said.items()))
            is_known = is_same & (project.c.connected | (project.c.changed != project.c.seen))
            values = {
                **{**said, "backend_url": backend_url, "setups": project.c.setups + 1},
                "changed": project.c.changed + sa.case((is_known, 0), else_=1),
                "checked_at": sa.case((is_known, project.c.checked_at), else_=0.0),
            }
            connection.execute(statement.values(**values))

    def forget_unconfirmed(self, state: ProjectState) -> None:
        """Forget a project that Label Studio does not confirm, unless somebody named it since."""
        is_same = (project.c.key == state.key) & (project.c.setups == state.setups)
        is_same &= project.c.changed == state.changed
        self._database.write(project.delete().where(is_same, _is_unconfirmed()))

    # Projects

    def projects(self) -> list[ProjectState]:
        """All projects, by id."""
        return self._database.all(ProjectState, _projects().order_by(project.c.project_id))

    def project(self, key: str) -> ProjectState | None:
        """One project, or None where it was never heard of."""
        return self._database.first(ProjectState, _projects().where(project.c.key == key))

    def key_of(self, project: str) -> str | None:
        """The key of a project named by its key or by its bare id; None where it is unknown.

        Of several with an id the newest, among those that Label Studio confirmed.
        """
        if "." in project or not project.isdigit():
            return project or None
        found = [state for state in self.projects() if state.project_id == int(project)]
        newest = max(found, default=None, key=lambda state: (state.is_confirmed, _epoch(state.key)))
        return None if newest is None else newest.key

    def update_project(self, key: str, **values: Any) -> None:
        """Set columns of one project."""
        self._database.write(project.update().where(project.c.key == key).values(**values))

    def ask_for_backtest(self, key: str) -> bool:
        """Note that a backtest is asked for; False where one was already that has not ended."""
        here = (project.c.key == key) & (project.c.backtest == "")
        with self._database.transaction() as connection:
            asked = project.update().where(here).values(backtest=phases.REQUESTED)
            return bool(connection.execute(asked).rowcount)

    def set_phase(self, key: str, phase: str, done: int = 0, total: int = 0) -> None:
        """Note the phase that a project is in, and how far it is."""
        started = sa.case((project.c.phase == phase, project.c.phase_started_at), else_=self.now())
        self.update_project(
            key, phase=phase, phase_done=done, phase_total=total, phase_started_at=started
        )

    def set_background(self, key: str, phase: str, done: int = 0, total: int = 0) -> None:
        """Note what is computed behind a project's queue, and how far it is; "" for nothing."""
        is_same = project.c.background == phase
        started = sa.case((is_same, project.c.background_started_at), else_=self.now())
        values = {"background": phase, "background_done": done, "background_total": total}
        self.update_project(key, **values, background_started_at=started)

    def note_embedded(self, key: str, embedded: int, unembedded: int, *, known: int | None) -> None:
        """Note how many tasks have an embedding, and how many images are still to be embedded.

        The latter only where it is `known` still: else tasks came that nobody looked at yet.
        """
        is_known = project.c.unembedded.is_not_distinct_from(known)
        left = sa.case((is_known, unembedded), else_=project.c.unembedded)
        self.update_project(key, embedded=embedded, unembedded=left)

    def set_error(self, key: str, message: str | None) -> None:
        """Note the error that `/status` shows; None clears it."""
        at = None if message is None else self.now()
        self.update_project(key, last_error=message, last_error_at=at)

    def set_background_error(self, key: str, message: str | None) -> None:
        """Note the error of what is computed behind a project's queue; None clears it."""
        self.update_project(key, background_error=message)

    # Rounds

    def latest_round(self, key: str) -> RoundState | None:
        """The newest round of a project, open or done."""
        return self._database.first(RoundState, self._rounds(key).order_by(round_.c.number.desc()))

    def published_round(self, key: str) -> RoundState | None:
        """The newest round that is done: the one that the queue follows."""
        done = self._rounds(key).where(round_.c.phase == phases.DONE)
        return self._database.first(RoundState, done.order_by(round_.c.number.desc()))

    def rounds(self, key: str, count: int) -> list[RoundState]:
        """The last rounds of a project, newest first."""
        newest = self._rounds(key).order_by(round_.c.number.desc())
        return self._database.all(RoundState, newest.limit(count))

    def round(self, key: str, number: int) -> RoundState | None:
        """One round by its number; None where it is not known."""
        return self._database.first(RoundState, self._rounds(key).where(round_.c.number == number))

    def trained_rounds(self, key: str, count: int = 5) -> list[RoundState]:
        """The last finished rounds that left a network, newest first."""
        done = self._rounds(key).where(round_.c.phase == phases.DONE)
        trained = done.where(round_.c.checkpoint.is_not(None)).order_by(round_.c.number.desc())
        return self._database.all(RoundState, trained.limit(count))

    def model_version(self, key: str | None) -> str:
        """The version that a project's queue follows; the unnumbered one before its first round."""
        state = None if key is None else self.published_round(key)
        return versions.UNNUMBERED if state is None else state.model_version

    def newest_round_for(self, key: str, reason: str) -> int:
        """The number of the newest round that was opened for a reason; -1 where there is none."""
        is_for = round_.c.statistics["reason"].as_string() == reason
        newest = sa.select(sa.func.max(round_.c.number)).where(round_.c.key == key, is_for)
        found = self._database.scalar(newest)
        return -1 if found is None else int(found)

    def recent_round_s(self, key: str, count: int = 3) -> list[float]:
        """How many seconds the last finished rounds worked, newest first."""
        done = self._rounds(key).where(round_.c.finished_at.is_not(None))
        found = self._database.all(RoundState, done.order_by(round_.c.number.desc()).limit(count))
        return [sum(state.seconds.values()) for state in found]

    def open_round(self, state: RoundState, *, looked_at: int = 0) -> None:
        """Add a round, and note with it which requests it answers.

        It answers the requests for training up to change `looked_at`: a later one may stand for
        labels that came after the round read the tasks.
        """
        answered = sa.case(
            (project.c.training_requested <= looked_at, 0), else_=project.c.training_requested
        )
        values = {"training_requested": answered}
        self._database.write(
            round_.insert().values(**values_of(state)),
            project.update().where(project.c.key == state.key).values(**values),
        )

    def update_round(self, state: RoundState, **values: Any) -> RoundState:
        """Set columns of a round; the round as it is now."""
        here = (round_.c.key == state.key) & (round_.c.number == state.number)
        self._database.write(round_.update().where(here).values(**values))
        return RoundState(**{**values_of(state), **values})

    def renumber_round(self, state: RoundState, number: int, **values: Any) -> RoundState:
        """Have a round begin anew under another number, with nothing in its queue, and set columns.

        The round as it is now.
        """
        here = (round_.c.key == state.key) & (round_.c.number == state.number)
        self._database.write(
            batch.delete().where(_queue_of(state)),
            audit.delete().where(audit.c.key == state.key, audit.c.number == state.number),
            round_.update().where(here).values(number=number, **values),
        )
        return RoundState(**{**values_of(state), "number": number, **values})

    # The queue of a round

    def add_to_queue(self, state: RoundState, tasks: Sequence[QueuedTask]) -> None:
        """Note tasks that are about to be published.

        What was drawn by an earlier round to measure it is from now on served for another reason.
        """
        place = {"key": state.key, "number": state.number}
        if not tasks:
            return
        with self._database.transaction() as connection:
            connection.execute(batch.insert(), [place | values_of(task) for task in tasks])
            for ids in parts([task.task_id for task in tasks]):
                connection.execute(closing(state.key, state.number, ids))

    def queue(self, state: RoundState) -> list[QueuedTask]:
        """What a round published, and was about to, in rank order."""
        return self._queued(state, sa.true())

    def awaiting(self, state: RoundState) -> list[QueuedTask]:
        """What a round was about to publish: Label Studio may hold the prediction or not."""
        return self._queued(state, batch.c.prediction_id.is_(None))

    def waiting_tasks(self, state: RoundState) -> list[QueuedTask]:
        """What a round published that nobody labeled or skipped yet."""
        return self._queued(state, batch.c.prediction_id.is_not(None) & _is_open())

    def queue_progress(self, state: RoundState) -> QueueProgress:
        """How far people are through what a round published."""
        in_batch, is_open = sa.not_(batch.c.is_reserve), _is_open()
        statement = sa.select(
            sa.func.count(),
            _sum(in_batch),
            _sum(in_batch & is_open),
            _sum(is_open & batch.c.prediction_id.is_not(None) & sa.not_(batch.c.is_put_off)),
        ).where(_queue_of(state))
        with self._database.engine.connect() as connection:
            queued, total, left, waiting = connection.execute(statement).one()
        return QueueProgress(queued, total or 0, (total or 0) - (left or 0), waiting or 0)

    def next_rank(self, state: RoundState) -> int:
        """The rank after the last one that a round published or was about to, from 0 on."""
        last = self._database.scalar(sa.select(sa.func.max(batch.c.rank)).where(_queue_of(state)))
        return 0 if last is None else max(0, int(last) + 1)

    def move_in_queue(self, state: RoundState, moved: QueuedTask) -> None:
        """Note another place of a queued task."""
        here = _queue_of(state) & (batch.c.task_id == moved.task_id)
        self._database.write(batch.update().where(here).values(**values_of(moved)))

    def note_prediction(self, state: RoundState, task_id: int, prediction_id: int) -> None:
        """Note that Label Studio holds the prediction of one queued task."""
        here = _queue_of(state) & (batch.c.task_id == task_id)
        self._database.write(batch.update().where(here).values(prediction_id=prediction_id))

    def note_put_off(self, state: RoundState, task_ids: Sequence[int]) -> None:
        """Note of which queued tasks somebody keeps a draft, and of which nobody does any more."""
        update = batch.update().where(_queue_of(state))
        drafted = [
            update.where(batch.c.task_id.in_(part)).values(is_put_off=True)
            for part in parts(task_ids)
        ]
        seen = project.update().where(project.c.key == state.key)
        self._database.write(
            update.where(batch.c.is_put_off).values(is_put_off=False),
            *drafted,
            seen.values(drafts_read_at=self.now()),
        )

    def note_gone(self, state: RoundState, task_id: int) -> None:
        """Note that Label Studio no longer has a queued task."""
        self._database.write(batch.delete().where(_queue_of(state), batch.c.task_id == task_id))
        self.tasks.remove(state.key, [task_id])

    def forget_predictions(self, state: RoundState, task_ids: Sequence[int]) -> None:
        """Note that Label Studio no longer holds the predictions of some queued tasks."""
        here = _queue_of(state) & batch.c.task_id.in_(task_ids)
        self._database.write(batch.update().where(here).values(prediction_id=None))

    def forget_queues_before(self, state: RoundState) -> None:
        """Forget what earlier rounds than this one published."""
        self._database.write(
            batch.delete().where(batch.c.key == state.key, batch.c.number < state.number)
        )

    # Unreadable tasks

    def note_unreadable(self, key: str, tasks: Iterable[UnreadableTask]) -> None:
        """Note tasks whose image could not be had; what was known of them is replaced."""
        rows = [{"key": key, **values_of(found)} for found in tasks]
        self.note_readable(key, [row["task_id"] for row in rows])
        self._database.insert_all(unreadable, rows)

    def note_readable(self, key: str, task_ids: Sequence[int]) -> None:
        """Note that the images of tasks can be had."""
        for ids in parts(task_ids):
            here = (unreadable.c.key == key) & unreadable.c.task_id.in_(ids)
            self._database.write(unreadable.delete().where(here))

    def unreadable(self, key: str) -> list[UnreadableTask]:
        """A project's unreadable tasks, by id."""
        here = sa.select(*columns_of(UnreadableTask, unreadable)).where(unreadable.c.key == key)
        return self._database.all(UnreadableTask, here.order_by(unreadable.c.task_id))

    def unreadable_in_pool(self, key: str) -> int:
        """How many tasks that wait for a label have an image that could not be had."""
        statement = (
            sa.select(sa.func.count())
            .select_from(unreadable)
            .join(task, (task.c.key == unreadable.c.key) & (task.c.task_id == unreadable.c.task_id))
            .where(unreadable.c.key == key, sa.not_(task.c.is_done), sa.not_(task.c.is_skipped))
        )
        return int(self._database.scalar(statement) or 0)

    # Inner workings

    def _belong_to(self, folder: Path) -> None:
        """Tie this journal and a folder to each other for good, where neither is tied yet.

        StoreError: one of the two is tied to another.
        """
        mark, name = folder / MARK_NAME, self.instance()
        if not self._owner() and not mark.exists():
            write_bytes(mark, name.encode())
        if not mark.exists() or mark.read_bytes() != name.encode():
            raise StoreError(
                f"MODEL_DIR: {folder} and the journal of ALFAMIX_DATABASE_URL do not belong "
                "together; needed are those that the other machines use. Where one of the two is "
                f"lost, write {name} into {mark}"
            )
        is_free = instance.c.folder == ""
        self._database.write(instance.update().where(is_free).values(folder=folder.name))
        if self._owner() != folder.name:
            raise StoreError(
                f"ALFAMIX_DATABASE_URL: the database holds the journal of {self._owner()}, and "
                f"LABEL_STUDIO_URL stands for {folder.name}; needed is a database for each Label "
                "Studio, and the same LABEL_STUDIO_URL on every machine"
            )

    def _owner(self) -> str:
        """The name of the folder that the journal is tied to; "" for none."""
        return str(self._database.scalar(sa.select(instance.c.folder)))

    def _ensure_project(self, connection: sa.Connection, key: str) -> None:
        found = connection.execute(sa.select(project.c.key).where(project.c.key == key)).first()
        if found is None:
            connection.execute(project.delete().where(project.c.key.in_(_superfluous())))
            values = {"project_id": int(key.split(".", 1)[0]), "phase_started_at": self.now()}
            insert = self._database.insert_if_missing(project)
            connection.execute(insert.values(key=key, **values))

    def _queued(self, state: RoundState, which: sa.ColumnElement[bool]) -> list[QueuedTask]:
        statement = sa.select(*columns_of(QueuedTask, batch)).where(_queue_of(state), which)
        return self._database.all(QueuedTask, statement.order_by(batch.c.rank))

    def _rounds(self, key: str) -> sa.Select:
        return sa.select(*columns_of(RoundState, round_)).where(round_.c.key == key)


def url_of(file: Path) -> str:
    """The database URL of an embedded journal."""
    return f"sqlite:///{file}"


def _projects() -> sa.Select:
    return sa.select(*columns_of(ProjectState, project))


def _epoch(key: str) -> int:
    return int(key.split(".", 1)[1])


def _is_confirmed() -> sa.ColumnElement[bool]:
    """See ProjectState."""
    return project.c.row_id.is_not(None) | project.c.webhook_id.is_not(None)


def _is_unconfirmed() -> sa.ColumnElement[bool]:
    has_rounds = sa.exists().where(round_.c.key == project.c.key)
    return sa.not_(_is_confirmed()) & sa.not_(has_rounds)


def _superfluous() -> sa.Select:
    """Unconfirmed projects that make room for another one: the oldest ones."""
    found = sa.select(project.c.key).where(_is_unconfirmed()).correlate(None)
    newest_first = found.order_by(project.c.phase_started_at.desc(), project.c.key)
    return newest_first.limit(UNCONFIRMED_PROJECTS).offset(UNCONFIRMED_PROJECTS - 1)


def _is_open() -> sa.ColumnElement[bool]:
    """Whether the task of a queue's row waits for a label; one that is gone does not."""
    known = sa.select(task.c.task_id).where(
        task.c.key == batch.c.key,
        task.c.task_id == batch.c.task_id,
        sa.not_(task.c.is_done),
        sa.not_(task.c.is_skipped),
    )
    return known.exists()


def _sum(which: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((which, 1), else_=0))


def _queue_of(state: RoundState) -> sa.ColumnElement[bool]:
    return (batch.c.key == state.key) & (batch.c.number == state.number)
