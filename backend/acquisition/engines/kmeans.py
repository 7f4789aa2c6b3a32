"""k-means on embeddings, and the point nearest each center.

Seeding is what k-means mostly costs and what its result mostly depends on. Here greedy k-means++
seeds and the first Lloyd iterations see the points in their leading 64 dimensions only, the seeds
on a sample of 10 points per cluster (4,096 at least), the iterations until few points move; the
last two iterations see everything.
Measured figures are in docs/acquisition.md.

Source: Arthur and Vassilvitskii, SODA 2007, with the greedy trials of its Section 5; Lloyd, 1982;
Boutsidis et al., IEEE Transactions on Information Theory 61, 2015, for k-means on projections.
Legend: n points, D embedding, d reduced dimensions, k clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse

from backend.acquisition.engines.distances import Nearest, nearest_centers
from backend.acquisition.engines.seeding import greedy_seeds

REDUCED_DIMENSIONS = 64
REDUCED_ITERATIONS = 40  # at most; fewer, larger clusters need more of them
FULL_ITERATIONS = 2
SETTLED_SHARE = 0.005  # of the points; when fewer change their cluster, iterations end
SEEDING_ROWS_PER_CLUSTER = 10
LEAST_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Clustering:
    """Centers and the points' assignment; clusters are empty only where points repeat."""

    centers: np.ndarray  # (k', D), k' = min(k, distinct points seen)
    nearest: Nearest  # (n,)

    @property
    def sizes(self) -> np.ndarray:
        """(k',) int64 points in each cluster."""
        return np.bincount(self.nearest.center, minlength=len(self.centers))

    @property
    def inertia(self) -> float:
        """Sum of squared distances to the nearest center."""
        return float(self.nearest.squared_distance.sum(dtype=np.float64))


def kmeans(points: np.ndarray, k: int, generator: np.random.Generator) -> Clustering:
    """K-means of `points (n, D)`, n >= k >= 1."""
    reduced = points
    if points.shape[1] > 2 * REDUCED_DIMENSIONS:
        reduced = points @ leading_subspace(points, REDUCED_DIMENSIONS, generator)
    count = min(len(points), max(LEAST_SAMPLE, SEEDING_ROWS_PER_CLUSTER * k))
    sample = np.sort(generator.choice(len(points), size=count, replace=False))
    seeds = sample[greedy_seeds(reduced[sample], k, generator)]
    rough = _lloyd(
        reduced,
        Clustering(reduced[seeds], nearest_centers(reduced, reduced[seeds])),
        REDUCED_ITERATIONS,
    )
    return _lloyd(points, Clustering(points[seeds], rough.nearest), FULL_ITERATIONS)


def leading_subspace(
    points: np.ndarray, dimensions: int, generator: np.random.Generator
) -> np.ndarray:
    """An orthonormal basis `(D, d)` of about the d leading principal directions.

    By two steps of subspace iteration on a sample (Halko, Martinsson and Tropp, SIAM Review 53,
    2011, Algorithm 4.4).
    """
    count = min(len(points), LEAST_SAMPLE)
    sample = points[np.sort(generator.choice(len(points), size=count, replace=False))]
    sample = sample - sample.mean(0)
    basis = generator.standard_normal((points.shape[1], dimensions)).astype(points.dtype)
    for _ in range(3):
        basis, _ = np.linalg.qr(sample.T @ (sample @ basis))
    return basis


def _lloyd(points: np.ndarray, start: Clustering, iterations: int) -> Clustering:
    """The clustering after `iterations` from `start`, or when few points move."""
    clustering = start
    for _ in range(iterations):
        centers = _means(points, clustering)
        nearest = nearest_centers(points, centers)
        moved = np.mean(nearest.center != clustering.nearest.center)
        clustering = Clustering(centers, nearest)
        if moved < SETTLED_SHARE:
            break
    return clustering


def _means(points: np.ndarray, clustering: Clustering) -> np.ndarray:
    """The mean of each cluster; an empty cluster moves to a point far from its center."""
    n, k = len(points), len(clustering.centers)
    nearest, sizes = clustering.nearest, clustering.sizes
    membership = scipy.sparse.csr_array(
        (np.ones(n, dtype=points.dtype), nearest.center, np.arange(n + 1)), shape=(n, k)
    )
    means = (membership.T @ points) / np.maximum(sizes, 1)[:, None].astype(points.dtype)
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        farthest = np.argsort(-nearest.squared_distance, kind="stable")[: len(empty)]
        means[empty] = points[farthest]
    return means


def medoids(clustering: Clustering, tie_order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The clusters that have points, and for each the position of its nearest point.

    Ties go to the smallest `tie_order (n,)`.
    """
    nearest = clustering.nearest
    order = np.lexsort((tie_order, nearest.squared_distance, nearest.center))
    clusters, firsts = np.unique(nearest.center[order], return_index=True)
    return clusters, order[firsts]
