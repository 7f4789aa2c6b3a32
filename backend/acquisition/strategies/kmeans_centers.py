"""kmeans-centers: one row per cluster of the whole pool; a first batch that needs no label.

Idea. Cluster the unit-length embeddings into B clusters and label the row nearest each center, so
that the batch looks like the pool. Dense regions get more centers; outliers get few.
Source. Zhu et al., COLING 2008; the clustering step of ALFA-Mix (CVPR 2022, Section 3.4) run on
everything.
Cost. N B D per iteration. Needs. Nothing but embeddings.
Deviations. Ranked by cluster size; a cluster left empty by repeated rows is filled by task id.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.clustering import cluster_candidates


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The rows nearest the centers, largest cluster first."""
    everything = np.arange(len(pool.ids))
    return cluster_candidates(pool, everything, np.zeros(len(everything)), budget, generator)
