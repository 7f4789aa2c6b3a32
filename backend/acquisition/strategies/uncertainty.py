"""entropy, margin, least-confidence: the rows the head is least sure of.

Idea. Score each row by its predicted probabilities alone and take the B least certain: largest
entropy, smallest gap between the two likeliest classes, or smallest probability of the likeliest.
Source. Settles, Active Learning Literature Survey, 2009, Eqs. 1 to 3; entropy is a baseline of
ALFA-Mix (CVPR 2022). Cost. N D K. Needs. A head. Deviations. None.

Legend: N pool rows, n rows of a block, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.clustering import smallest_first
from backend.acquisition.engines.predictions import margins, score_predictions, trained_head


def pick_entropy(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The rows with the largest predictive entropy, in nats."""
    return _least_certain("entropy", pool, budget, entropy)


def pick_margin(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The rows with the smallest margin between the two likeliest classes."""
    return _least_certain("margin", pool, budget, lambda log: 1 - margins(log))


def pick_least_confidence(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """The rows whose likeliest class is least likely."""
    return _least_certain("least-confidence", pool, budget, lambda log: 1 - log.amax(1).exp())


def entropy(log_probabilities: Tensor) -> Tensor:
    """`(n,)` entropy in nats of `(n, K)` log-probabilities; 0 log 0 counts as 0."""
    terms = log_probabilities.exp() * log_probabilities
    return -terms.nan_to_num(nan=0.0).sum(1)


def _least_certain(
    strategy: str, pool: Pool, budget: int, doubt: Callable[[Tensor], Tensor]
) -> Picks:
    head = trained_head(pool, strategy)
    order = -score_predictions(head, pool.embeddings, doubt)
    return Picks(rows=smallest_first(order, pool.ids)[:budget], order=order)
