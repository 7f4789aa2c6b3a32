"""Stores the predictions that make tasks part of the queue, each once.

A prediction may be stored without an answer, or be deleted by somebody: what Label Studio holds
counts.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

from backend.errors import LabelStudioUnreachableError
from backend.label_studio import queue
from backend.label_studio.annotations import choice_result
from backend.loop import queue_order
from backend.loop.context import ProjectContext
from model_store.journal import QueuedTask, RoundState

logger = logging.getLogger(__name__)

# Of the tasks that wait, so many are looked at: whoever deletes predictions deletes them all.
LOOKED_AT = 200
# Noted in the journal at once.
CHUNK = 8
# A Label Studio on SQLite takes one write at a time; one that is only far away takes several.
SLOW_REQUEST_S = 0.5
REQUESTS_WHERE_SLOW = 16
MOST_WHERE_SLOW = 64
# One that has more to do than it can gives each request its turn: with one at a time the supply
# loses against three people who label.
BUSY_REQUEST_S = 0.1
REQUESTS_WHERE_BUSY = 3
# A prediction whose answer was lost is mostly stored after that long. One that comes later still is
# a second one, which `compare` deletes.
STORED_AFTER_S = 0.5
# Where answers go on being lost, other projects have their turn.
AGAIN_FOR_S = 10.0


def extend(
    context: ProjectContext,
    state: RoundState,
    following: Iterator[QueuedTask],
    lacking: int,
    deadline: float,
) -> bool:
    """Store predictions of so many tasks that follow, and of a few more; whether there were any.

    deadline: when to stop, by the monotonic clock. Where each takes long it goes on for a while.
    """
    asked = 0
    with _storing(context, state) as requests:
        while chunk := list(islice(following, CHUNK)):
            context.journal.add_to_queue(state, chunk)
            asked += len(chunk)
            for task in chunk:
                requests.store(task)
            is_over = asked >= MOST_WHERE_SLOW if requests.is_slow else time.monotonic() > deadline
            if asked >= lacking or is_over:
                break
    return asked > 0


def publish(context: ProjectContext, state: RoundState, tasks: Sequence[QueuedTask]) -> None:
    """Store the predictions of queued tasks."""
    with _storing(context, state) as requests:
        for task in tasks:
            requests.store(task)


def finish_interrupted(context: ProjectContext, state: RoundState) -> None:
    """Publish what was about to be; a prediction may have been stored without an answer."""
    deadline = time.monotonic() + AGAIN_FOR_S
    while awaiting := context.journal.awaiting(state):
        ids = [task.task_id for task in awaiting]
        found = queue.published(context.client, context.project_id, state.model_version, ids)
        for task_id, prediction_ids in found.items():
            context.journal.note_prediction(state, task_id, prediction_ids[0])
        try:
            with _Requests(context, state) as requests:
                for task in awaiting:
                    if task.task_id not in found:
                        requests.store(task)
        except LabelStudioUnreachableError:
            is_over = time.monotonic() > deadline
            if is_over or len(context.journal.awaiting(state)) == len(awaiting):
                raise
            time.sleep(STORED_AFTER_S)


def compare(context: ProjectContext, state: RoundState, most: int | None = LOOKED_AT) -> bool:
    """Compare waiting tasks, `most` or all, with the predictions that Label Studio holds of them.

    Whether somebody deleted some, which are to be published again. Where a task has two, as when
    one was stored after nobody waited for the answer any more, one is deleted.
    """
    waiting = context.journal.waiting_tasks(state)[:most]
    if not waiting:
        return False
    ids = [task.task_id for task in waiting]
    found = queue.published(context.client, context.project_id, state.model_version, ids)
    for task in waiting:
        _keep_one(context, state, task, found.get(task.task_id, []))
    lost = [task_id for task_id in ids if task_id not in found]
    if lost:
        logger.info("project %d: predictions of the queue were deleted", context.project_id)
        context.journal.forget_predictions(state, lost)
    return bool(lost)


def recall(context: ProjectContext, state: RoundState) -> None:
    """Take over what Label Studio holds of a round: it may be more than the journal knows."""
    journal = context.journal
    found = queue.all_published(context.client, context.project_id, state.model_version)
    known = {task.task_id for task in journal.queue(state)}
    journal.forget_predictions(state, sorted(known - found.keys()))
    for task_id in known & found.keys():
        journal.note_prediction(state, task_id, found[task_id][0])
    unknown = queue_order.queued_as(context, state, sorted(found.keys() - known))
    journal.add_to_queue(
        state, [replace(task, prediction_id=found[task.task_id][0]) for task in unknown]
    )


def preselection(context: ProjectContext, task: QueuedTask) -> list[dict[str, Any]]:
    """The prediction's regions.

    None without a class, where the config lost it meanwhile, or where the admin wants none.
    """
    if (
        not context.settings.preselect
        or task.probability is None
        or task.class_name not in context.config.classes
    ):
        return []
    return [choice_result(context.config, task.class_name, task.probability)]


def _keep_one(
    context: ProjectContext, state: RoundState, task: QueuedTask, prediction_ids: Sequence[int]
) -> None:
    """Delete all of a task's predictions but the one that the journal knows, or else the first."""
    if len(prediction_ids) < 2:
        return
    kept = next((one for one in prediction_ids if one == task.prediction_id), prediction_ids[0])
    logger.info("task %d: its prediction was stored twice", task.task_id)
    for prediction_id in prediction_ids:
        if prediction_id != kept:
            context.client.delete_prediction(prediction_id)
    context.journal.note_prediction(state, task.task_id, kept)


@contextmanager
def _storing(context: ProjectContext, state: RoundState) -> Iterator[_Requests]:
    """Store predictions. Where an answer is lost it goes on, as long as others come."""
    try:
        with _Requests(context, state) as requests:
            yield requests
    except LabelStudioUnreachableError as error:
        logger.info("project %d: publishing again: %s", context.project_id, error)
        time.sleep(STORED_AFTER_S)
        finish_interrupted(context, state)


class _Requests:
    """Predictions that are being stored, one after the other or side by side.

    Where one fails, its error is raised, and no more are asked; those beside it are awaited.
    """

    def __init__(self, context: ProjectContext, state: RoundState) -> None:
        self._context, self._state = context, state
        self._pool = ThreadPoolExecutor(REQUESTS_WHERE_SLOW, "publish")
        self._running = set[Future[None]]()
        self._at_once = 1

    @property
    def is_slow(self) -> bool:
        """Whether each takes long, as far as was seen."""
        return self._at_once == REQUESTS_WHERE_SLOW

    def __enter__(self) -> _Requests:
        return self

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        self._pool.shutdown()
        if kind is None:
            for one in self._running:
                one.result()

    def store(self, task: QueuedTask) -> None:
        """Store one; it may be waited for later."""
        self._running.add(self._pool.submit(_store, self._context, self._state, task))
        while len(self._running) >= self._at_once:
            started = time.monotonic()
            done, self._running = wait(self._running, SLOW_REQUEST_S, FIRST_COMPLETED)
            for one in done:
                one.result()
            self._at_once = max(self._at_once, _side_by_side(time.monotonic() - started))


def _side_by_side(request_s: float) -> int:
    """How many requests go at once where one takes so long, or longer."""
    if request_s >= SLOW_REQUEST_S:
        return REQUESTS_WHERE_SLOW
    return REQUESTS_WHERE_BUSY if request_s >= BUSY_REQUEST_S else 1


def _store(context: ProjectContext, state: RoundState, task: QueuedTask) -> None:
    prediction_id = context.client.create_prediction(
        task.task_id,
        result=preselection(context, task),
        score=task.score,
        cluster=task.cluster,
        model_version=state.model_version,
    )
    if prediction_id is None:
        context.journal.note_gone(state, task.task_id)
    else:
        context.journal.note_prediction(state, task.task_id, prediction_id)
