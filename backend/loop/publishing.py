"""Stores the predictions that make tasks part of the queue, each once.

A prediction may be stored without an answer, or be deleted by somebody: what Label Studio holds
counts.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from backend.label_studio import queue
from backend.label_studio.annotations import choice_result
from backend.loop import queue_order
from backend.loop.context import ProjectContext
from model_store.journal import QueuedTask, RoundState

logger = logging.getLogger(__name__)

# Of the tasks that wait, so many are looked at: whoever deletes predictions deletes them all.
LOOKED_AT = 200
# A Label Studio on SQLite takes one write at a time; one that is only far away takes several.
SLOW_REQUEST_S = 0.5
REQUESTS_WHERE_SLOW = 8
# One that has more to do than it can gives each request its turn: with one at a time the supply
# loses against three people who label.
BUSY_REQUEST_S = 0.1
REQUESTS_WHERE_BUSY = 3


def publish(
    context: ProjectContext,
    state: RoundState,
    tasks: Sequence[QueuedTask],
    is_slow: bool = False,
) -> bool:
    """Store predictions one after the other, or some side by side where each takes long.

    Of those side by side all are awaited: where one fails, no more are asked.
    is_slow: it is known that each takes long. Whether it is, as far as was seen.
    """
    alone = [] if is_slow else tasks[:1]
    started = time.monotonic()
    for task in alone:
        _publish_one(context, state, task)
    took_s = math.inf if is_slow else time.monotonic() - started
    at_once, others = _side_by_side(took_s), tasks[len(alone) :]
    with ThreadPoolExecutor(at_once, "publish") as pool:
        for start in range(0, len(others), at_once):
            part = others[start : start + at_once]
            for done in [pool.submit(_publish_one, context, state, task) for task in part]:
                done.result()
    return took_s >= SLOW_REQUEST_S


def finish_interrupted(context: ProjectContext, state: RoundState) -> None:
    """Publish what was about to be; a prediction may have been stored without an answer."""
    awaiting = context.journal.awaiting(state)
    if not awaiting:
        return
    ids = [task.task_id for task in awaiting]
    found = queue.published(context.client, context.project_id, state.model_version, ids)
    for task_id, prediction_ids in found.items():
        context.journal.note_prediction(state, task_id, prediction_ids[0])
    publish(context, state, [task for task in awaiting if task.task_id not in found])


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


def _side_by_side(request_s: float) -> int:
    """How many requests go at once where one takes so long."""
    if request_s >= SLOW_REQUEST_S:
        return REQUESTS_WHERE_SLOW
    return REQUESTS_WHERE_BUSY if request_s >= BUSY_REQUEST_S else 1


def _publish_one(context: ProjectContext, state: RoundState, task: QueuedTask) -> None:
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
