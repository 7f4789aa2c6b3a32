"""The reserve: the next rows near the same centers, for annotators who outrun the batch.

Shapes: N pool rows, B batch, R reserve, E eligible rows, D embedding.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import blocks, compute_dtype, unit_rows
from backend.acquisition.engines.distances import Nearest, squared_distances


def reserve_of(pool: Pool, picks: Picks, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `(rows (R',), clusters (R',))`: in turn over the ranked clusters, nearest first.

    Rows come from `picks.eligible`; where those are fewer than `count`, by `picks.order` too.
    """
    eligible = _eligible_rows(pool, picks, count)
    if count == 0 or len(eligible) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    centers = picks.centers if picks.centers is not None else unit_rows(pool.embeddings, picks.rows)
    nearest = _nearest_on_sphere(pool.embeddings, eligible, centers)
    by_cluster = np.lexsort((pool.ids[eligible], nearest.squared_distance, nearest.center))
    turn = np.empty(len(eligible), dtype=np.int64)
    turn[by_cluster] = _position_in_group(nearest.center[by_cluster])
    ranked = np.lexsort((nearest.center, turn))[:count]
    return eligible[ranked], nearest.center[ranked]


def _eligible_rows(pool: Pool, picks: Picks, count: int) -> np.ndarray:
    free = np.ones(len(pool.ids), dtype=bool)
    free[picks.rows] = False
    if picks.eligible is None and picks.order is None:
        return np.flatnonzero(free)
    first = np.empty(0, np.int64) if picks.eligible is None else picks.eligible
    first = first[free[first]]
    if len(first) >= count:
        return first
    free[first] = False
    rest = np.flatnonzero(free)
    by_order = rest[np.lexsort((pool.ids[rest], picks.order[rest]))]
    return np.concatenate([first, by_order[: count - len(first)]])


def _nearest_on_sphere(embeddings: np.ndarray, rows: np.ndarray, centers: np.ndarray) -> Nearest:
    """Return the nearest center of each row's unit-length embedding."""
    target = torch.as_tensor(centers, dtype=compute_dtype(embeddings))
    center = np.empty(len(rows), dtype=np.int64)
    squared = np.empty(len(rows), dtype=np.float64)
    for positions, block in blocks(embeddings, rows):
        unit = torch.nn.functional.normalize(block)
        least = squared_distances(unit, target).min(dim=1)
        center[positions] = least.indices.numpy()
        squared[positions] = least.values.numpy()
    return Nearest(center, squared)


def _position_in_group(groups: np.ndarray) -> np.ndarray:
    """Return 0, 1, 2, ... within each run of equal values of a sorted array."""
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    lengths = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, lengths)
