"""core-set: greedy k-center, so that no pool row is far from a labeled one.

Idea. Label the row farthest from everything labeled, again and again. The largest distance from
any row to its nearest labeled row is then at most twice the best possible.
Source. Sener and Savarese, ICLR 2018, Algorithm 1 (k-center-greedy).
Cost. N B D, as matrix products. Needs. Embeddings; labeled ones where there are any.
Deviations. The greedy part alone, as in the ALFA-Mix comparison, without the integer program.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.distances import ProductSpace
from backend.acquisition.engines.k_center import k_center


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The farthest row from all labeled ones, then the next, and so on."""
    space = ProductSpace.euclidean(pool.embeddings, pool.labeled_embeddings)
    labeled = np.arange(len(pool.ids), len(space))
    return Picks(rows=k_center(space, labeled, budget, pool.ids))
