"""tcm: TypiClust while labels are few, then margin.

Idea. Typical examples first, doubtful ones once the head can tell: two simple strategies, one
switch.
Source. Doucet et al., "Bridging Diversity and Uncertainty in Active Learning with Self-Supervised
Pre-Training", ICLR 2024 workshop, arXiv 2403.03728.
Cost and needs. Those of the strategy it calls.
Deviations. The paper sets the point of transition by budget and backbone; here it comes with
`labels_per_class` labels a class on average, and never before a head is trained.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool, has_two_classes
from backend.acquisition.strategies import typiclust, uncertainty
from backend.errors import AcquisitionError


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    labels_per_class: float = 3,
) -> Picks:
    """What the strategy of the moment picks; margin from `labels_per_class` labels on average."""
    if not labels_per_class >= 0:
        raise AcquisitionError(f"labels_per_class must be at least 0; found {labels_per_class}")
    is_trained = pool.head is not None and has_two_classes(pool.labels)
    if is_trained and len(pool.labels) >= labels_per_class * pool.num_classes:
        return uncertainty.pick_margin(pool, budget, generator).with_statistics(regime="margin")
    return typiclust.pick(pool, budget, generator).with_statistics(regime="typiclust")
