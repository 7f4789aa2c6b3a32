"""maxherding: greedy coverage of the pool under a Gaussian kernel; the cold start.

Idea. A row is covered as well as its most similar labeled row is similar to it. Label the row that
adds most coverage, again and again. Coverage has no radius to guess as ProbCover's balls have, and
the order of the picks is an order to label in: every prefix is the greedy answer for its length.
Source. Bae, Noh and Sutherland, "Generalized Coverage for More Robust Low-Budget Active Learning",
ECCV 2024, Eq. 3 and Algorithm 1.
Cost. M^2 D once, then lazily; M = min(N, `considered`); memory M^2 up to 1.5 GiB. Needs. Embeddings
only.
Deviations. Above `considered` rows (and 10 B) coverage is measured on, and rows come from, a
uniform sample of that size; below, there is no randomness at all.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.coverage import Coverage, Similarity, rbf
from backend.acquisition.engines.distances import ProductSpace
from backend.errors import AcquisitionError

CONSIDERED = 20_000


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    sigma: float = 1.0,
    considered: int = CONSIDERED,
) -> Picks:
    """The greedy picks; `sigma` is the kernel's width on unit-length embeddings."""
    if not sigma > 0:
        raise AcquisitionError(f"sigma must be above 0; found {sigma}")
    rows = considered_rows(pool, budget, considered, generator)
    return herd(pool, rows, budget, rbf(sigma), np.ones(len(rows)))


def considered_rows(
    pool: Pool, budget: int, considered: int, generator: np.random.Generator
) -> np.ndarray:
    """All pool rows, or a sorted uniform sample where they are too many for M^2 D."""
    count = max(considered, 10 * budget)
    if len(pool.ids) <= count:
        return np.arange(len(pool.ids))
    return np.sort(generator.choice(len(pool.ids), size=count, replace=False))


def herd(
    pool: Pool, rows: np.ndarray, budget: int, similarity: Similarity, worth: np.ndarray
) -> Picks:
    """The greedy picks among `rows (M,)`, each of them worth `worth (M,)` when covered."""
    space = ProductSpace.euclidean(
        unit_rows(pool.embeddings, rows), unit_rows(pool.labeled_embeddings)
    )
    weights = torch.as_tensor(worth, dtype=space.squares.dtype)
    coverage = Coverage(space, similarity, weights, pool.ids[rows])
    picked, gains = coverage.greedy(np.arange(len(rows), len(space)), budget)
    statistics = {"n_considered": len(rows), "coverage_gain": float(gains.sum() / weights.sum())}
    return Picks(rows=rows[picked], statistics=statistics)
