"""What follows in a round's queue: what the admin asked for, the ranking, then what that lacks.

Where the ranking ends before the pool does, as right after an import, what is not embedded yet
follows in no order: better any task than none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path

from backend.errors import StoreError
from backend.label_studio import queue
from backend.loop.context import ProjectContext
from model_store.journal import QueuedTask, RoundState
from model_store.rankings import Ranking, read_ranking

SCANNED_TASKS = 256


def is_ranked(context: ProjectContext, state: RoundState) -> bool:
    """Whether a round's ranking can be read; what is lost is made anew by the next round."""
    try:
        _ranking_of(context, state)
    except StoreError:
        return False
    return True


def following(context: ProjectContext, state: RoundState, queued: int) -> Iterator[QueuedTask]:
    """What nobody labeled or skipped beyond the queue, in the order in which it is published."""
    ranking = _ranking_of(context, state)
    start = context.journal.next_rank(state) if queued else 0
    batch = context.settings.labels_a_round(len(state.classes))
    places = context.journal.asked.open_places(context.key)
    yield from asked_for(context, state, places)
    for rank in _open_ranks(context, ranking, start):
        if int(ranking.task_ids[rank]) not in places:
            yield _ranked(state, ranking, rank, batch)
    yield from _unranked(context, state, ranking, max(start, len(ranking)), batch)


def asked_for(
    context: ProjectContext, state: RoundState, places: Mapping[int, int]
) -> list[QueuedTask]:
    """What the admin asked for and the queue lacks, before all others.

    places: by task, below 0. Each is a cluster of its own, of which nobody was served anything.
    """
    if not places:
        return []
    queued = {task.task_id for task in context.journal.queue(state)}
    lacking = [task_id for task_id in places if task_id not in queued]
    return [
        moved(context, task, places[task.task_id]) for task in queued_as(context, state, lacking)
    ]


def moved(context: ProjectContext, task: QueuedTask, place: int) -> QueuedTask:
    """A task at another place of the queue, below 0."""
    number = queue.round_of_cluster(task.cluster)
    batch = context.settings.labels_a_round(len(context.config.classes))
    return replace(
        task,
        rank=place,
        cluster=queue.cluster_id(number, place),
        score=queue.score(place, batch),
    )


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


def queued_as(
    context: ProjectContext, state: RoundState, task_ids: Sequence[int]
) -> list[QueuedTask]:
    """Tasks as the queue names them: by their rank, or beyond the last one where they have none."""
    ranking = _ranking_of(context, state)
    batch = context.settings.labels_a_round(len(state.classes))
    rank_of = {task_id: rank for rank, task_id in enumerate(ranking.task_ids.tolist())}
    beyond = count(max(context.journal.next_rank(state), len(ranking)))
    return [
        _ranked(state, ranking, rank_of[task_id], batch)
        if task_id in rank_of
        else _unranked_task(state, task_id, next(beyond), batch)
        for task_id in task_ids
    ]


def _ranked(state: RoundState, ranking: Ranking, rank: int, batch: int) -> QueuedTask:
    class_name = probability = None
    is_drawn = ranking.is_drawn is not None and bool(ranking.is_drawn[rank])
    # People agree with what they are shown: what measures the head is labeled without a hint.
    if ranking.labels is not None and ranking.probabilities is not None and not is_drawn:
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
