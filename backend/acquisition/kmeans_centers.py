"""k-means centers: one row per cluster of the whole pool; a first batch that needs no label.

Idea. Cluster the unit-length embeddings into B clusters and label the row nearest each center, so
that the batch looks like the pool. Dense regions get more centers; outliers get few.
Source. Zhu et al., COLING 2008; the clustering step of ALFA-Mix (CVPR 2022, Section 3.4) run on
everything.
Cost. N B D per iteration. Needs. Nothing but embeddings.
Deviations. Ranked by cluster size; a cluster left empty by repeated rows is filled by task id.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.blocks import unit_rows
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.kmeans import kmeans, medoids


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """Return the rows nearest the centers, largest cluster first."""
    points = unit_rows(pool.embeddings)
    clustering = kmeans(points, budget, generator)
    clusters, nearest = medoids(clustering, pool.ids)
    rank = np.lexsort((pool.ids[nearest], -clustering.sizes[clusters]))
    chosen = nearest[rank]
    rest = np.argsort(pool.ids, kind="stable")
    filling = rest[~np.isin(rest, chosen)][: budget - len(chosen)]
    return Picks(
        rows=np.concatenate([chosen, filling]),
        centers=np.concatenate([clustering.centers[clusters[rank]], points[filling]]),
        statistics={"inertia": clustering.inertia},
    )
