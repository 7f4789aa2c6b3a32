"""k-means on embeddings, and the point nearest each center.

Shapes: n points, D embedding, k clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from backend.acquisition.distances import Nearest, ProductSpace, nearest_centers
from backend.acquisition.seeding import d2_sample

ITERATIONS = 10


@dataclass(frozen=True, eq=False)
class Clustering:
    """Centers and the points' assignment; fewer than k clusters where points repeat."""

    centers: np.ndarray  # (k, D)
    nearest: Nearest  # (n,)

    @property
    def sizes(self) -> np.ndarray:
        """(k,) int64 points in each cluster."""
        return np.bincount(self.nearest.center, minlength=len(self.centers))

    @property
    def inertia(self) -> float:
        """Sum of squared distances to the nearest center."""
        return float(self.nearest.squared_distance.sum(dtype=np.float64))


def kmeans(
    points: np.ndarray, k: int, generator: np.random.Generator, iterations: int = ITERATIONS
) -> Clustering:
    """Return Lloyd's k-means of `points (n, D)` from k-means++ seeds, n >= k >= 1.

    It stops when no point moves, or after `iterations`.
    """
    seeds = d2_sample(
        ProductSpace.euclidean(points), k, int(generator.integers(len(points))), generator
    )
    centers = points[seeds]
    nearest = nearest_centers(points, centers)
    for _ in range(iterations):
        centers = _means(points, nearest, centers)
        moved = nearest_centers(points, centers)
        settled = np.array_equal(moved.center, nearest.center)
        nearest = moved
        if settled:
            break
    return Clustering(centers, nearest)


def _means(points: np.ndarray, nearest: Nearest, centers: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster; an empty cluster moves to a point far from its center."""
    n, k = len(points), len(centers)
    membership = scipy.sparse.csr_array(
        (np.ones(n, dtype=points.dtype), nearest.center, np.arange(n + 1)), shape=(n, k)
    )
    sizes = np.bincount(nearest.center, minlength=k)
    means = (membership.T @ points) / np.maximum(sizes, 1)[:, None].astype(points.dtype)
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        farthest = np.argsort(-nearest.squared_distance, kind="stable")[: len(empty)]
        means[empty] = points[farthest]
    return means


def medoids(clustering: Clustering, tie_order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters that have points, and for each the position of its nearest point.

    Ties go to the smallest `tie_order (n,)`.
    """
    nearest = clustering.nearest
    order = np.lexsort((tie_order, nearest.squared_distance, nearest.center))
    clusters, firsts = np.unique(nearest.center[order], return_index=True)
    return clusters, order[firsts]
