"""typiclust: the most typical row of each cluster that has no label yet.

Idea. With few labels, typical examples teach more than doubtful ones. Cluster labeled and unlabeled
rows together into L + B clusters; from the largest clusters with the fewest labels take the row
with the smallest mean distance to its nearest neighbors in the cluster.
Source. Hacohen, Dekel and Weinshall, "Active Learning on a Budget: Opposite Strategies Suit High
and Low Budgets", ICML 2022, Eq. 4 (typicality, 20 neighbors) and Algorithm 1.
Cost. k-means on N + L rows, then distances inside clusters. Needs. Embeddings only.
Deviations. At most 500 clusters, as in the authors' code, taken in turn when B is larger; clusters
under 5 rows come last instead of never. In clusters above `neighbors_from` rows, neighbors are
looked for in a uniform sample of that size.

Legend: N pool rows, L labeled rows, B budget, D embedding.
"""

from __future__ import annotations

import heapq

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.distances import row_blocks, squared_distances
from backend.acquisition.engines.kmeans import kmeans

NEIGHBORS = 20
MOST_CLUSTERS = 500
SMALL_CLUSTER = 5


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    neighbors_from: int = 10_000,
) -> Picks:
    """The most typical rows, from the cluster with fewest labels, then most rows, first."""
    count = len(pool.ids)
    points = np.concatenate([unit_rows(pool.embeddings), unit_rows(pool.labeled_embeddings)])
    clusters = min(len(points), len(pool.labels) + budget, MOST_CLUSTERS)
    center = kmeans(points, clusters, generator).nearest.center
    sizes = np.bincount(center, minlength=clusters)
    groups = np.split(np.argsort(center, kind="stable"), np.cumsum(sizes)[:-1])
    members = [_by_typicality(pool, points, g, generator, neighbors_from) for g in groups]
    labels = np.bincount(center[count:], minlength=clusters)
    queue = [
        (s < SMALL_CLUSTER, n, -s, c) for c, (s, n) in enumerate(zip(sizes, labels, strict=True))
    ]
    heapq.heapify(queue)
    rows: list[int] = []
    while len(rows) < budget:
        small, labeled, negative_size, cluster = heapq.heappop(queue)
        if members[cluster]:
            rows.append(members[cluster].pop())
            heapq.heappush(queue, (small, labeled + 1, negative_size, cluster))
    return Picks(rows=np.array(rows), statistics={"n_clusters": clusters})


def _by_typicality(
    pool: Pool,
    points: np.ndarray,
    group: np.ndarray,
    generator: np.random.Generator,
    neighbors_from: int,
) -> list[int]:
    """A cluster's pool rows, the most typical last; of equals the smallest id last."""
    among = group
    if len(group) > neighbors_from:
        among = generator.choice(group, size=neighbors_from, replace=False)
    rows = group[group < len(pool.ids)]
    distance = mean_neighbor_distance(points[rows], points[among], len(group))
    return rows[np.lexsort((pool.ids[rows], distance))[::-1]].tolist()


def mean_neighbor_distance(points: np.ndarray, among: np.ndarray, size: int) -> np.ndarray:
    """`(n,)` mean distance to the nearest min(20, size / 2) of `among`, itself left out.

    The inverse is the paper's typicality. `among` holds the points themselves or a sample.
    """
    neighbors = max(1, min(NEIGHBORS, size // 2))
    wanted = min(neighbors + 1, len(among))
    target = torch.from_numpy(among)
    distance = np.empty(len(points))
    for rows in row_blocks(len(points)):
        squared = squared_distances(torch.from_numpy(points[rows]), target)
        nearest = squared.topk(wanted, largest=False).values.sqrt()
        distance[rows] = nearest.sum(1).numpy() / max(1, wanted - 1)  # itself adds 0
    return distance
