"""Keeps tasks of the current version ahead of everybody, for as long as a round or a person takes.

Label Studio turns people away where all tasks of the version are held by others, and serves random
ones where none is left. Which are held no API tells. So more lie ahead than anybody can hold: at
least a batch, at least what all people together label until the next flip, and one for each who may
have walked off with one. What is published follows the round's ranking, which goes as far as the
pool does; where it ends before the pool does, as right after an import, what is not embedded yet
follows in no order: better any task than none.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from backend.acquisition import budget_of
from backend.errors import StoreError
from backend.label_studio import queue
from backend.label_studio.annotations import choice_result
from backend.loop.context import ProjectContext
from model_store.journal import QueuedTask, RoundState
from model_store.rankings import Ranking, read_ranking

logger = logging.getLogger(__name__)

# Of the time until the next flip, which may take longer than the last ones did.
MARGIN = 2.0
# Of these the fastest counts: people who just began are as fast as they will be.
PACE_WINDOWS_S = (10.0, 30.0, 120.0)
# The first rounds are over in a moment, and say little of those with many labels.
SHORTEST_ROUND_S = 10.0
# People who never labeled here and may come at once; of those who did, twice as many as they are.
NEWCOMERS = 64
# So many serve whoever asks while the others are published.
FIRST_TASKS = 8
CHUNK = 8
# Between two chunks topping up lets go for other work after this long.
PUBLISH_FOR_S = 1.0
SCANNED_TASKS = 256
# Of the tasks that wait, so many are looked at: whoever deletes predictions deletes them all.
LOOKED_AT = 200
# A Label Studio on SQLite takes one write at a time; one that is only far away takes several.
SLOW_REQUEST_S = 0.5
REQUESTS_WHERE_SLOW = 8


def wanted_ahead(context: ProjectContext, state: RoundState) -> int:
    """How many tasks should wait in the queue of a round."""
    batch = budget_of(context.settings, len(state.classes))
    until_flip = labels_per_s(context) * MARGIN * _round_s(context)
    return max(batch, math.ceil(until_flip)) + holders(context)


def lasts_a_round(context: ProjectContext, waiting: int) -> bool:
    """Whether so many waiting tasks are enough until a round that begins now flips the queue."""
    round_s = max(context.journal.recent_round_s(context.key), default=SHORTEST_ROUND_S)
    return waiting >= FIRST_TASKS + labels_per_s(context) * MARGIN * round_s


def labels_per_s(context: ProjectContext) -> float:
    """What all people together label in a second, measured over the last minutes of work."""
    tasks = context.journal.tasks
    newest = tasks.newest_annotation(context.key)
    if newest is None:
        return 0.0
    paces = [(tasks.pace(context.key, newest - window_s), window_s) for window_s in PACE_WINDOWS_S]
    # An import of annotated tasks is no pace: nobody labels faster than one in a second.
    return max(min(pace.labels / window_s, pace.annotators) for pace, window_s in paces)


def holders(context: ProjectContext) -> int:
    """How many people may each hold a task: everybody in a small organization."""
    project = context.journal.project(context.key)
    users = 1 if project is None else project.users
    seen = context.journal.tasks.pace(context.key, since=0.0).annotators
    return min(users, NEWCOMERS + 2 * seen)


def publish_first(context: ProjectContext, state: RoundState) -> None:
    """Publish the head of a round's ranking: one for each who labels now, and a few more."""
    newest = context.journal.tasks.newest_annotation(context.key) or 0.0
    people = context.journal.tasks.pace(context.key, newest - PACE_WINDOWS_S[-1]).annotators
    _fill(context, state, FIRST_TASKS + 2 * people + _held(context), math.inf)


def top_up(context: ProjectContext, state: RoundState) -> bool:
    """Publish what the queue lacks, for a few seconds; whether it still lacks some."""
    deadline = time.monotonic() + PUBLISH_FOR_S
    return _fill(context, state, wanted_ahead(context, state), deadline)


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
    journal, ranking = context.journal, _ranking_of(context, state)
    found = queue.all_published(context.client, context.project_id, state.model_version)
    known = {task.task_id for task in journal.queue(state)}
    journal.forget_predictions(state, sorted(known - found.keys()))
    for task_id in known & found.keys():
        journal.note_prediction(state, task_id, found[task_id][0])
    batch = budget_of(context.settings, len(state.classes))
    rank_of = {task_id: rank for rank, task_id in enumerate(ranking.task_ids.tolist())}
    beyond = count(max(journal.next_rank(state), len(ranking)))
    unknown = [
        _ranked(state, ranking, rank_of[task_id], batch)
        if task_id in rank_of
        else _unranked_task(state, task_id, next(beyond), batch)
        for task_id in sorted(found.keys() - known)
    ]
    journal.add_to_queue(
        state, [replace(task, prediction_id=found[task.task_id][0]) for task in unknown]
    )


def preselection(context: ProjectContext, task: QueuedTask) -> list[dict[str, Any]]:
    """The prediction's regions: none without a class, or where the config lost it meanwhile."""
    if task.probability is None or task.class_name not in context.config.classes:
        return []
    return [choice_result(context.config, task.class_name, task.probability)]


def is_ranked(context: ProjectContext, state: RoundState) -> bool:
    """Whether a round's ranking can be read; what is lost is made anew by the next round."""
    try:
        _ranking_of(context, state)
    except StoreError:
        return False
    return True


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


def _held(context: ProjectContext) -> int:
    """How many tasks of the queue were passed by: somebody may hold each, and it may rank first."""
    published = context.journal.published_round(context.key)
    if published is None:
        return 0
    waiting = {task.rank for task in context.journal.waiting_tasks(published)}
    done = [task.rank for task in context.journal.queue(published) if task.rank not in waiting]
    return sum(rank < max(done, default=0) for rank in waiting)


def _fill(
    context: ProjectContext,
    state: RoundState,
    wanted: int,
    deadline: float,
) -> bool:
    """Publish until so many tasks wait or the time is over; whether more are wanted."""
    _finish_interrupted(context, state)
    progress = context.journal.queue_progress(state)
    lacking, chunks = wanted - progress.waiting, _next_chunks(context, state, progress.queued)
    while lacking > 0:
        if time.monotonic() > deadline:
            return True
        chunk = next(chunks, None)
        if chunk is None:
            return False
        context.journal.add_to_queue(state, chunk)
        _publish(context, state, chunk)
        lacking = wanted - context.journal.queue_progress(state).waiting
    return False


def _finish_interrupted(context: ProjectContext, state: RoundState) -> None:
    """Publish what was about to be; a prediction may have been stored without an answer."""
    awaiting = context.journal.awaiting(state)
    if not awaiting:
        return
    ids = [task.task_id for task in awaiting]
    found = queue.published(context.client, context.project_id, state.model_version, ids)
    for task_id, prediction_ids in found.items():
        context.journal.note_prediction(state, task_id, prediction_ids[0])
    _publish(context, state, [task for task in awaiting if task.task_id not in found])


def _publish(context: ProjectContext, state: RoundState, tasks: Sequence[QueuedTask]) -> None:
    """Store predictions one after the other, or side by side where each takes long."""
    if not tasks:
        return
    first, *others = tasks
    started = time.monotonic()
    _publish_one(context, state, first)
    took_s = time.monotonic() - started
    if took_s < SLOW_REQUEST_S:
        for task in others:
            _publish_one(context, state, task)
        return
    with ThreadPoolExecutor(REQUESTS_WHERE_SLOW, "publish") as pool:
        for done in [pool.submit(_publish_one, context, state, task) for task in others]:
            done.result()


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


def _next_chunks(
    context: ProjectContext, state: RoundState, queued: int
) -> Iterator[list[QueuedTask]]:
    """What nobody labeled or skipped beyond the queue: of the ranking, then what it lacks."""
    ranking = _ranking_of(context, state)
    start = context.journal.next_rank(state) if queued else 0
    batch = budget_of(context.settings, len(state.classes))
    following = chain(
        (_ranked(state, ranking, rank, batch) for rank in _open_ranks(context, ranking, start)),
        _unranked(context, state, ranking, max(start, len(ranking)), batch),
    )
    while chunk := list(islice(following, CHUNK)):
        yield chunk


def _open_ranks(context: ProjectContext, ranking: Ranking, start: int) -> Iterator[int]:
    for first in range(start, len(ranking), SCANNED_TASKS):
        ids = ranking.task_ids[first : first + SCANNED_TASKS].tolist()
        open_ids = context.journal.tasks.open_among(context.key, ids)
        yield from (rank for rank, task_id in enumerate(ids, first) if task_id in open_ids)


def _unranked(
    context: ProjectContext, state: RoundState, ranking: Ranking, start: int, batch: int
) -> Iterator[QueuedTask]:
    """The tasks that were not embedded when the round chose, from rank `start` on."""
    known = {*ranking.task_ids.tolist(), *(task.task_id for task in context.journal.queue(state))}
    left = [task for task in context.journal.tasks.open_ids(context.key) if task not in known]
    for rank, task_id in enumerate(left, start):
        yield _unranked_task(state, task_id, rank, batch)


def _unranked_task(state: RoundState, task_id: int, rank: int, batch: int) -> QueuedTask:
    return QueuedTask(
        rank=rank,
        task_id=task_id,
        cluster=queue.cluster_id(state.number, rank % batch),
        score=queue.score(rank, batch),
        is_reserve=True,
        class_name=None,
        probability=None,
    )


def _ranked(state: RoundState, ranking: Ranking, rank: int, batch: int) -> QueuedTask:
    class_name = probability = None
    if ranking.labels is not None and ranking.probabilities is not None:
        class_name = state.classes[int(ranking.labels[rank])]
        probability = float(ranking.probabilities[rank])
    return QueuedTask(
        rank=rank,
        task_id=int(ranking.task_ids[rank]),
        cluster=queue.cluster_id(state.number, int(ranking.clusters[rank])),
        score=queue.score(rank, batch),
        is_reserve=rank >= batch,
        class_name=class_name,
        probability=probability,
    )


def _round_s(context: ProjectContext) -> float:
    """How long the last rounds worked, from their opening to the flip."""
    return max([SHORTEST_ROUND_S, *context.journal.recent_round_s(context.key)])


def _ranking_of(context: ProjectContext, state: RoundState) -> Ranking:
    path = context.folder.ranking_file(state.number)
    try:
        written_at = path.stat().st_mtime_ns
    except OSError as error:
        raise StoreError(f"{path} is missing: {error}") from error
    return _read_once(path, written_at)


@lru_cache(maxsize=16)
def _read_once(path: Path, _written_at: int) -> Ranking:
    return read_ranking(path)
