"""The pool's rank order behind the batch: what annotators get while the next round is computed.

Eligible rows (ALFA-Mix's candidates) come in turn over the batch's clusters, each cluster's nearest
to its center first, so that every prefix is as diverse as the batch. The others follow by the
strategy's own order; of a strategy that has none, in turn too.

Cost: one product of the rows ranked with the B' centers, in blocks; rows that are not asked for
cost nothing.
Legend: N pool rows, B' rows of the batch, n rows of a part, m of them ranked, D embedding.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.distances import nearest_centers


def rank_supply(pool: Pool, picks: Picks, count: int) -> np.ndarray:
    """`(2, count)` int64: the rows behind the batch in rank order, and their clusters.

    A row's cluster is the rank of the batch's row whose center is nearest on the unit sphere.
    count: at most N - B'.
    """
    if count == 0:
        return np.empty((2, 0), dtype=np.int64)
    centers = unit_rows(pool.embeddings, picks.rows) if picks.centers is None else picks.centers
    eligible, others = _parts(pool, picks)
    first = _in_turn(pool, eligible, centers, count)
    left = count - first.shape[1]
    if picks.order is None:
        second = _in_turn(pool, others, centers, left)
    else:
        second = _by_order(pool, others, centers, left, picks.order)
    return np.concatenate([first, second], axis=1)


def _parts(pool: Pool, picks: Picks) -> tuple[np.ndarray, np.ndarray]:
    """The eligible rows outside the batch, and all others, both ascending."""
    is_free = np.ones(len(pool.ids), dtype=bool)
    is_free[picks.rows] = False
    is_eligible = np.zeros(len(pool.ids), dtype=bool)
    if picks.eligible is not None:
        is_eligible[picks.eligible] = True
    return np.flatnonzero(is_free & is_eligible), np.flatnonzero(is_free & ~is_eligible)


def _in_turn(pool: Pool, rows: np.ndarray, centers: np.ndarray, count: int) -> np.ndarray:
    """`(2, m)` at most `count` of `rows (n,)` and their clusters: one of each cluster, then again.

    Within a cluster nearest to the center first, ties by id.
    """
    if count == 0 or len(rows) == 0:
        return np.empty((2, 0), dtype=np.int64)
    nearest = nearest_centers(pool.embeddings, centers, rows, on_sphere=True)
    by_cluster = np.lexsort((pool.ids[rows], nearest.squared_distance, nearest.center))
    turn = np.empty(len(rows), dtype=np.int64)
    turn[by_cluster] = _position_in_group(nearest.center[by_cluster])
    ranked = np.lexsort((nearest.center, turn))[:count]
    return np.stack([rows[ranked], nearest.center[ranked]])


def _by_order(
    pool: Pool, rows: np.ndarray, centers: np.ndarray, count: int, order: np.ndarray
) -> np.ndarray:
    """`(2, m)` at most `count` of `rows (n,)`, smallest `order (N,)` first; and their clusters."""
    ranked = rows[np.lexsort((pool.ids[rows], order[rows]))[:count]]
    if len(ranked) == 0:
        return np.empty((2, 0), dtype=np.int64)
    ascending = np.sort(ranked)  # a file is read from front to back
    nearest = nearest_centers(pool.embeddings, centers, ascending, on_sphere=True)
    return np.stack([ranked, nearest.center[np.searchsorted(ascending, ranked)]])


def _position_in_group(groups: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each run of equal values of a sorted array."""
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    lengths = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, lengths)
