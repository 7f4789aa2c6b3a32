"""The default: cover the pool while classes have few labels, then ALFA-Mix.

Idea. With a handful of labels a classifier's doubts are noise, and typical, spread-out examples
teach more; once classes have a few labels each, doubt becomes the better guide.
Rule. Coverage while nothing is trained, while fewer than two classes have a label, or while there
are fewer than `labels_per_class` (5) labels per class of the label config on average; ALFA-Mix
after. The average, not the least: a class that never appears must not hold the switch forever.
Source. TypiClust (ICML 2022) and UHerding (ICLR 2025) describe the two regimes.
Cost and needs. Those of the strategy it calls.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from backend.acquisition import alfa_mix, kmeans_centers
from backend.acquisition.contract import Picks, Pool


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    epsilon: float = 0.2,
    labels_per_class: float = 5,
) -> Picks:
    """Return what the strategy for the pool's regime picks; `statistics["regime"]` names it."""
    if wants_coverage(pool, labels_per_class):
        return _named(kmeans_centers.pick(pool, budget, generator), "coverage")
    return _named(alfa_mix.pick(pool, budget, generator, epsilon=epsilon), "alfa-mix")


def wants_coverage(pool: Pool, labels_per_class: float) -> bool:
    """Return whether labels are too few for ALFA-Mix; the rule of the module's docstring."""
    if pool.head is None or len(np.unique(pool.labels)) < 2:
        return True
    return len(pool.labels) < labels_per_class * pool.num_classes


def _named(picks: Picks, regime: str) -> Picks:
    return dataclasses.replace(picks, statistics={**picks.statistics, "regime": regime})
