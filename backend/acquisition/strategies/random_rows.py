"""random: rows drawn without replacement; what every other strategy has to beat.

Idea. Each pool row is equally likely. The order of the draw is the rank.
Source. The first baseline of ALFA-Mix (CVPR 2022, Section 4). Cost. N. Needs. Nothing.
Deviations. None.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Picks, Pool


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """`budget` rows in the order drawn."""
    return Picks(rows=generator.choice(len(pool.ids), size=budget, replace=False))
