"""alfa-herding: greedy coverage in which rows that a small mix flips are worth more.

Idea. ALFA-Mix's critical epsilon says how little of another class's features changes a row's
prediction; the margin says how doubtful it is now. Rows that are both are worth covering; greedy
coverage spreads the batch over them and over what is not labeled yet, where k-means spreads it over
the candidates alone. With few labels nearly all rows are worth much, and it is coverage.
Source. This project's: the critical epsilon of ALFA-Mix (CVPR 2022, Eq. 5), inside the coverage and
the kernel's width of UHerding (ICLR 2025, Eq. 3).

    worth = exp(-critical epsilon / median of the finite ones) * (1 - margin)

Cost. One N x D x (K + A) product, then as maxherding with M = min(N, `considered`). Needs. A head,
labels of two classes.
Deviations. Coverage is measured on, and rows come from, a uniform sample of 5,000, not 20,000 as in
the other herding methods: of 60,000 images the larger sample chose worse, at 16 times the cost.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backend.acquisition.alfa_mix.strategy import head_of_two_classes, mix_with_class_means
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.coverage import rbf
from backend.acquisition.engines.predictions import margins, score_predictions
from backend.acquisition.strategies.maxherding import considered_rows, herd
from backend.acquisition.strategies.uherding import labeled_spacing

# Or ten batches, if that is more.
CONSIDERED = 5_000


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    epsilon: float = 0.2,
    considered: int = CONSIDERED,
) -> Picks:
    """The greedy picks; `epsilon` says which rows are candidates, from which the supply begins."""
    head = head_of_two_classes(pool, "alfa-herding")
    mixing, final = mix_with_class_means(pool, head, budget, epsilon)
    doubt = 1 - score_predictions(head, pool.embeddings, margins)
    worth = closeness(mixing.critical_epsilons) * doubt
    candidates = np.flatnonzero(mixing.is_candidate)
    rows = considered_rows(pool, budget, considered, generator)
    sigma = labeled_spacing(pool.labeled_embeddings)
    picks = replace(
        herd(pool, rows, budget, rbf(sigma), worth[rows]),
        eligible=candidates,
        order=mixing.critical_epsilons,
        mixing=mixing,
    )
    return picks.with_statistics(sigma=sigma, n_candidates=len(candidates), epsilon=final)


def closeness(critical_epsilons: np.ndarray) -> np.ndarray:
    """`(N,)` from 1 for a row on the boundary to 0 for one that no mix flips, 1/e at the median."""
    finite = critical_epsilons[np.isfinite(critical_epsilons)]
    scale = float(np.median(finite)) if len(finite) else 1.0
    # 0: half of the rows or more lie on the boundary, and only those count.
    return np.exp(
        -critical_epsilons.astype(np.float64) / max(scale, float(np.finfo(np.float32).tiny))
    )
