"""cdal: k-center on predictions instead of embeddings.

Idea. Two rows are far apart if the head predicts different class mixtures for them. Greedy k-center
under that distance labels rows whose confusion differs from everything labeled so far.
Source. Agarwal et al., "Contextual Diversity for Active Learning", ECCV 2020, Eqs. 2 and 3, in the
core-set form CDAL-CS (Section 3.2).
Cost. N D K + N B K. Needs. A head.
Deviations. For image classification the class-specific mixture is the prediction itself. The
ALFA-Mix authors' code applies softmax twice; here it is applied once.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.distances import PredictionSpace
from backend.acquisition.engines.k_center import k_center
from backend.acquisition.engines.predictions import log_probabilities, trained_head

# A probability of 0 would be infinitely far from everything.
LEAST_LOG_PROBABILITY = float(np.log(1e-12))


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The row whose prediction differs most from the labeled ones', then the next."""
    head = trained_head(pool, "cdal")
    parts = [log_probabilities(head, e) for e in (pool.embeddings, pool.labeled_embeddings)]
    space = PredictionSpace(torch.from_numpy(np.concatenate(parts)).clamp(LEAST_LOG_PROBABILITY))
    labeled = np.arange(len(pool.ids), len(space))
    return Picks(rows=k_center(space, labeled, budget, pool.ids))
