"""This batch: which tasks, in which order, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.errors import StoreError
from backend.settings import Settings
from backend.web.pages import wording
from backend.web.pages.contexts import Batch, BatchTask, TaskState
from backend.web.pages.links import task_url
from model_store.audits import AuditedTask
from model_store.journal import Journal, ProjectState, RoundState
from model_store.overview import ServedTask
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, read_ranking
from model_store.reasons import TaskReasons, read_reasons

SHOWN_TASKS = 24


@dataclass(frozen=True, eq=False)
class _Chosen:
    """What a round's files say of its tasks; rows by task id."""

    classes: Sequence[str]
    ranking: Ranking | None
    reasons: TaskReasons | None
    ranking_rows: dict[int, int]
    reason_rows: dict[int, int]


def batch_of(
    settings: Settings,
    journal: Journal,
    folder: ProjectFolder,
    state: ProjectState,
    published: RoundState | None,
    *,
    start: int,
    total: int,
) -> Batch:
    """SHOWN_TASKS tasks of a round's batch of `total`, from place `start` (0 on) on.

    Of a batch that ends before, the last ones.
    """
    if published is None:
        return Batch((), 0, 0, 0, None, None)
    start = start_within(start, total)
    served = journal.overview.batch(state.key, published.number, start, SHOWN_TASKS)
    task_ids = [task.task_id for task in served]
    chosen = _chosen(folder, published, task_ids)
    drawn = {
        found.draw.task_id: found
        for found in journal.audits.among(state.key, published.number, task_ids)
    }
    tasks = [
        _task(settings, state, chosen, drawn, task, start + number)
        for number, task in enumerate(served, start=1)
    ]
    after = start + SHOWN_TASKS
    return Batch(
        tasks=tasks,
        start=start,
        total=total,
        asked=len(journal.asked.open_places(state.key)),
        before=max(0, start - SHOWN_TASKS) if start else None,
        after=after if after < total else None,
    )


def start_within(start: int, total: int) -> int:
    """`start`, or where the last part of a batch of `total` tasks begins: it may be smaller now."""
    return min(start, max(0, total - 1) // SHOWN_TASKS * SHOWN_TASKS)


def state_of(task: ServedTask) -> TaskState:
    """What became of a task."""
    state = "labeled" if task.is_done else "skipped" if task.is_skipped else "open"
    return TaskState(state, wording.task_state(state, task.class_name), task.class_name or "")


def _chosen(folder: ProjectFolder, published: RoundState, task_ids: Sequence[int]) -> _Chosen:
    """What can be read of the files; a page without reasons is a page still."""
    try:
        ranking = read_ranking(folder.ranking_file(published.number))
    except StoreError:
        ranking = None
    try:
        reasons = read_reasons(folder.reasons_file(published.number))
    except StoreError:
        reasons = None
    return _Chosen(
        classes=published.classes,
        ranking=ranking,
        reasons=reasons,
        ranking_rows={} if ranking is None else _rows(ranking.task_ids, task_ids),
        reason_rows={} if reasons is None else _rows(reasons.task_ids, task_ids),
    )


def _rows(column: np.ndarray, task_ids: Sequence[int]) -> dict[int, int]:
    found = np.flatnonzero(np.isin(column, task_ids))
    return {int(column[row]): int(row) for row in found}


def _task(
    settings: Settings,
    state: ProjectState,
    chosen: _Chosen,
    drawn: dict[int, AuditedTask],
    task: ServedTask,
    place: int,
) -> BatchTask:
    draw = drawn.get(task.task_id)
    predicted, probability = _prediction(chosen, task, draw)
    nearest, similarity = _nearest(chosen, task.task_id)
    return BatchTask(
        place=place,
        task_id=task.task_id,
        task_url=task_url(settings, state, task.task_id),
        thumbnail_url=f"{state.project_id}/thumbnails/{task.task_id}?v={task.image_key or ''}",
        predicted=predicted,
        probability="" if probability is None else wording.percent(probability),
        now=state_of(task),
        reasons=_reasons(chosen, task, draw is not None, predicted),
        nearest_labeled=nearest,
        nearest_url="" if nearest is None else task_url(settings, state, nearest),
        similarity=similarity,
    )


def _prediction(
    chosen: _Chosen, task: ServedTask, draw: AuditedTask | None
) -> tuple[str, float | None]:
    """What the model gave; of what measures it nothing as long as somebody may still label it."""
    if draw is not None:
        if not task.is_done:
            return "", None
        return draw.draw.predicted, draw.draw.probabilities[draw.draw.predicted]
    row, ranking = chosen.ranking_rows.get(task.task_id), chosen.ranking
    if row is None or ranking is None or ranking.labels is None or ranking.probabilities is None:
        return task.predicted or "", task.probability
    return chosen.classes[int(ranking.labels[row])], float(ranking.probabilities[row])


def _nearest(chosen: _Chosen, task_id: int) -> tuple[int | None, str]:
    row, reasons = chosen.reason_rows.get(task_id), chosen.reasons
    if row is None or reasons is None or reasons.nearest_labeled[row] < 0:
        return None, ""
    similarity = float(reasons.similarities[row])
    return int(reasons.nearest_labeled[row]), "" if math.isnan(similarity) else f"{similarity:.2f}"


def _reasons(chosen: _Chosen, task: ServedTask, is_drawn: bool, predicted: str) -> list[str]:
    if is_drawn:
        return [wording.DRAWN]
    found = [wording.ASKED] if task.rank < 0 else []
    rank, ranking = chosen.ranking_rows.get(task.task_id), chosen.ranking
    row, reasons = chosen.reason_rows.get(task.task_id), chosen.reasons
    if (
        rank is not None
        and ranking is not None
        and ranking.critical_epsilons is not None
        and ranking.flips_to is not None
    ):
        anchor = -1 if row is None or reasons is None else int(reasons.anchors[row])
        found.append(
            wording.mixing_reason(
                float(ranking.critical_epsilons[rank]),
                predicted,
                chosen.classes[int(ranking.flips_to[rank])],
                chosen.classes[anchor] if anchor >= 0 else None,
                ranking.is_candidate is None or bool(ranking.is_candidate[rank]),
            )
        )
    if row is not None and reasons is not None:
        found.append(wording.cluster_reason(int(reasons.cluster_sizes[row])))
    return found
