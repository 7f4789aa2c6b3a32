"""auto: cover the pool while classes have few labels, then ALFA-Mix. The default.

Idea. With a handful of labels a classifier's doubts are noise, and typical, spread-out examples
teach more; once classes have a few labels each, doubt becomes the better guide.
Rule. Coverage (maxherding) while nothing is trained, while fewer than two classes have a label, or
while there are fewer than `labels_per_class` (5) labels per class of the label config on average;
ALFA-Mix after. The average, not the least: a class that never appears must not hold the switch.
Source. The two regimes: TypiClust (ICML 2022), UHerding (ICLR 2025).
Cost and needs. Those of the strategy it calls.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.alfa_mix import strategy as alfa_mix
from backend.acquisition.contract import Picks, Pool, has_two_classes
from backend.acquisition.strategies import maxherding
from backend.errors import AcquisitionError


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    epsilon: float = 0.2,
    labels_per_class: float = 5,
) -> Picks:
    """What the strategy for the pool's regime picks; `statistics["regime"]` names it."""
    if not labels_per_class >= 0:
        raise AcquisitionError(f"labels_per_class must be at least 0; found {labels_per_class}")
    if wants_coverage(pool, labels_per_class):
        return maxherding.pick(pool, budget, generator).with_statistics(regime="coverage")
    picks = alfa_mix.pick(pool, budget, generator, epsilon=epsilon)
    return picks.with_statistics(regime="alfa-mix")


def wants_coverage(pool: Pool, labels_per_class: float) -> bool:
    """Whether labels are too few for ALFA-Mix; the rule of the module's docstring."""
    if pool.head is None or not has_two_classes(pool.labels):
        return True
    return len(pool.labels) < labels_per_class * pool.num_classes
