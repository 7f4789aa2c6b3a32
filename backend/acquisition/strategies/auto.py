"""auto: cover the pool until a head can tell classes apart, then ALFA herding. The default.

Idea. Without a head, typical and spread-out examples teach most; with one, rows that a small mix
flips do. Between them nothing has to switch: with few labels the critical epsilons are all alike,
and ALFA herding is coverage.
Rule. Coverage (maxherding) while nothing is trained or fewer than two classes have a label; then
alfa-herding.
Source. This project's; measured against the registry in benchmarks/results.
Cost and needs. Those of the strategy it calls.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool, has_two_classes
from backend.acquisition.strategies import alfa_herding, maxherding


def pick(pool: Pool, budget: int, generator: np.random.Generator, *, epsilon: float = 0.2) -> Picks:
    """What the strategy for the pool's regime picks; `statistics["regime"]` names it."""
    if pool.head is None or not has_two_classes(pool.labels):
        return maxherding.pick(pool, budget, generator).with_statistics(regime="coverage")
    picks = alfa_herding.pick(pool, budget, generator, epsilon=epsilon)
    return picks.with_statistics(regime="alfa-herding")
