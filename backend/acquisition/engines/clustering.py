"""A ranked batch from candidates: cluster them, take the row nearest each center.

Legend: N pool rows, C candidates, B budget, D embedding.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.kmeans import kmeans, medoids


def smallest_first(key: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Pool rows by ascending `key (N,)`, ties by id."""
    return np.lexsort((ids, key))


def cluster_candidates(
    pool: Pool,
    candidates: np.ndarray,
    key: np.ndarray,
    budget: int,
    generator: np.random.Generator,
) -> Picks:
    """B rows: one per k-means cluster of the candidates' unit-length embeddings.

    Ranked by cluster size, largest first, then by smallest `key (N,)`, then by id. With no more
    than B candidates, or clusters that repeated rows leave empty, the smallest keys fill up.
    """
    order = smallest_first(key, pool.ids)
    if len(candidates) <= budget:
        first = order[np.isin(order, candidates)]
        return Picks(rows=fill(first, order, budget), order=key)
    clustering = kmeans(unit_rows(pool.embeddings, candidates), budget, generator)
    clusters, positions = medoids(clustering, pool.ids[candidates])
    nearest = candidates[positions]
    rank = np.lexsort((pool.ids[nearest], key[nearest], -clustering.sizes[clusters]))
    rows = fill(nearest[rank], order, budget)
    filled = unit_rows(pool.embeddings, rows[len(rank) :])
    centers = np.concatenate([clustering.centers[clusters[rank]], filled])
    statistics = {"inertia": clustering.inertia}
    return Picks(rows, centers, eligible=candidates, order=key, statistics=statistics)


def fill(first: np.ndarray, order: np.ndarray, budget: int) -> np.ndarray:
    """`first`, then rows of `order` that are not in it, `budget` in all."""
    rest = order[~np.isin(order, first)]
    return np.concatenate([first, rest[: budget - len(first)]])
