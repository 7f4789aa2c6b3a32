"""The pool in two dimensions, as the page's canvas draws it."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.errors import StoreError
from model_store.journal import Journal, RoundState
from model_store.maps import PoolMap, read_map
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, read_ranking

# Each drawn over the one before.
OTHER, CANDIDATE, LABELED, SELECTED = range(4)
MAX_POINTS = 5_000


def newest_map(folder: ProjectFolder) -> PoolMap | None:
    """The newest map of a project that can be read."""
    files = folder.map_files()
    try:
        return read_map(files[-1]) if files else None
    except StoreError:
        return None


def map_points(
    journal: Journal, folder: ProjectFolder, key: str, published: RoundState | None
) -> dict[str, Any]:
    """Task, place in [0, 1], kind and label of each point, columns of equal length."""
    found = newest_map(folder)
    if found is None or len(found.task_ids) == 0:
        return {"task_ids": [], "x": [], "y": [], "kinds": [], "labels": [], "kind": ""}
    task_ids, points = found.task_ids[:MAX_POINTS], found.points[:MAX_POINTS]
    labels = journal.overview.classes_of(key, [int(task_id) for task_id in task_ids])
    kinds = _kinds(journal, folder, published, task_ids, np.array(list(labels), dtype=np.int64))
    spread = np.maximum(np.ptp(points, axis=0), 1e-9)
    x, y = ((points - points.min(axis=0)) / spread).round(4).T
    return {
        "task_ids": task_ids.tolist(),
        "x": x.tolist(),
        "y": y.tolist(),
        "kinds": kinds.tolist(),
        "labels": [labels.get(int(task_id), "") for task_id in task_ids],
        "kind": found.kind,
    }


def _selected(journal: Journal, published: RoundState, ranking: Ranking | None) -> list[int]:
    """The tasks of the batch that the strategy chose: neither drawn at random nor asked for."""
    is_drawn = None if ranking is None else ranking.is_drawn
    drawn = set() if ranking is None or is_drawn is None else set(ranking.task_ids[is_drawn])
    batch = [task for task in journal.queue(published) if not task.is_reserve and task.rank >= 0]
    return [task.task_id for task in batch if task.task_id not in drawn]


def _kinds(
    journal: Journal,
    folder: ProjectFolder,
    published: RoundState | None,
    task_ids: np.ndarray,
    labeled: np.ndarray,
) -> np.ndarray:
    kinds = np.full(len(task_ids), OTHER)
    if published is not None:
        try:
            ranking = read_ranking(folder.ranking_file(published.number))
        except StoreError:
            ranking = None
        if ranking is not None and ranking.is_candidate is not None:
            kinds[np.isin(task_ids, ranking.task_ids[ranking.is_candidate])] = CANDIDATE
        kinds[np.isin(task_ids, _selected(journal, published, ranking))] = SELECTED
    kinds[np.isin(task_ids, labeled)] = LABELED
    return kinds
