"""Draws the map of the pool that the admin's page shows: one for each published round.

Whoever looks from round to round finds things where they were: mostly the same tasks are drawn, and
a new network's map begins as the last one was, and is turned until it lies as that one did.
"""

from __future__ import annotations

import logging

import numpy as np

from backend.errors import StoreError, WeightsError
from backend.loop.context import ProjectContext
from backend.loop.snapshot import Snapshot, take_snapshot
from backend.vision.projection import aligned, kind_of_projection, project
from model_store.journal import RoundState
from model_store.maps import PoolMap, read_map, write_map

logger = logging.getLogger(__name__)

# More are no picture any more, and what a browser draws and moves at ease.
MOST_POINTS = 5000
MOST_LABELED = 2000


def draw(context: ProjectContext) -> None:
    """Draw the published round's map where it has none. A round without one goes on as well."""
    published = context.journal.published_round(context.key)
    if published is None:
        return
    path = context.folder.map_file(published.number)
    if path.exists():
        return
    try:
        found = _map_of(context, published)
        context.worker.confirm()
        write_map(path, found)
    except (StoreError, WeightsError) as error:
        logger.warning("project %d: no map: %s", context.project_id, error)


def _map_of(context: ProjectContext, published: RoundState) -> PoolMap:
    snapshot = take_snapshot(context)
    network = context.network(context.journal.tunings.get(context.key, published.tuning))
    stores = context.stores()
    missing = set(stores.embeddings.missing(network.version, snapshot.image_keys.tolist()))
    is_kept = np.array([key not in missing for key in snapshot.image_keys.tolist()], dtype=bool)
    rows = _drawn_rows(context, published, snapshot, is_kept)
    keys = snapshot.image_keys[rows].tolist()
    if not keys:
        return PoolMap.nothing()
    embeddings, kind = stores.embeddings.read(network.version, keys), kind_of_projection()
    task_ids, before = snapshot.task_ids[rows], _last_map(context)
    _, here, there = np.intersect1d(task_ids, before.task_ids, return_indices=True)
    start = np.full((len(rows), 2), np.nan, dtype=np.float32)
    start[here] = before.points[there]
    points = project(embeddings, context.settings.seed, kind, start)
    points = aligned(points, points[here], before.points[there])
    return PoolMap(task_ids, points, published.tuning, kind)


def _drawn_rows(
    context: ProjectContext, published: RoundState, snapshot: Snapshot, is_kept: np.ndarray
) -> np.ndarray:
    """Snapshot rows, ascending: the queue's, then labeled ones, then others.

    By image key, which is a digest: any part of them is spread over the pool, and the same one each
    time.
    """
    queue = [task.task_id for task in context.journal.queue(published)]
    by_key = np.argsort(snapshot.image_keys, kind="stable")
    by_key = by_key[is_kept[by_key]]
    in_queue = by_key[np.isin(snapshot.task_ids[by_key], queue)]
    labeled = by_key[snapshot.is_labeled[by_key]][:MOST_LABELED]
    ordered = np.concatenate([in_queue, labeled, by_key])
    _, first = np.unique(ordered, return_index=True)
    return np.sort(ordered[np.sort(first)][:MOST_POINTS])


def _last_map(context: ProjectContext) -> PoolMap:
    """The last one that can be read, or one of nothing."""
    for path in reversed(context.folder.map_files()):
        try:
            return read_map(path)
        except StoreError as error:
            logger.warning("project %d: %s", context.project_id, error)
    return PoolMap.nothing()
