"""margin-kmeans: the least certain rows, spread out by clustering.

Idea. Keep the `beta` B rows with the smallest margin, cluster them into B clusters and label the
row nearest each center. Doubt says which rows matter; clustering keeps the batch from repeating one
doubt B times.
Source. Zhdanov, "Diverse mini-batch Active Learning", arXiv 1901.05954, 2019, Algorithm 1.
Cost. N D K, then k-means on beta B rows. Needs. A head.
Deviations. k-means is not weighted by the margin; embeddings are scaled to unit length.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.clustering import cluster_candidates, smallest_first
from backend.acquisition.engines.predictions import margins, score_predictions, trained_head
from backend.errors import AcquisitionError


def pick(pool: Pool, budget: int, generator: np.random.Generator, *, beta: int = 10) -> Picks:
    """B rows out of the beta B least certain ones; `beta` is an integer of at least 1."""
    if beta < 1 or int(beta) != beta:
        raise AcquisitionError(f"beta must be an integer of at least 1; found {beta}")
    head = trained_head(pool, "margin-kmeans")
    margin = score_predictions(head, pool.embeddings, margins)
    candidates = np.sort(smallest_first(margin, pool.ids)[: int(beta) * budget])
    return cluster_candidates(pool, candidates, margin, budget, generator)
