"""The first choice of a learning curve: what strategies see, and what a batch is worth after.

Legend: N pool images, L labeled, B budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.acquisition import Pool, standardized_pool
from backend.replay import Learner, Truth
from benchmarks.curves.bench import Place, stage
from benchmarks.curves.settings import Setting


@dataclass(frozen=True, eq=False)
class FirstChoice:
    """What a strategy sees, B, and all that is needed to try what it picks.

    labeled: (L,) rows of all images; the pool's ids are such rows too.
    """

    pool: Pool
    budget: int
    labeled: np.ndarray
    learner: Learner
    truth: Truth

    def accuracy_with(self, batch: np.ndarray) -> float:
        """On the test images, once the (B,) pool rows are labeled as well."""
        rows = np.concatenate([self.labeled, self.pool.ids[batch]])
        fit = self.learner.fit(rows, self.truth.labels[rows], 0, None)
        return float(np.mean(fit.predictions == self.truth.test_labels))


def first_choice(setting: Setting, seed: int, place: Place) -> FirstChoice:
    """After the first labels of a seed. DataError: the setting cannot be run here."""
    ready = stage(setting, seed, place)
    truth = ready.truth
    order = np.random.default_rng(seed).permutation(len(truth.labels))
    labeled, unlabeled = order[: ready.plan.first], np.sort(order[ready.plan.first :])
    fit = ready.learner.fit(labeled, truth.labels[labeled], 0, None)
    pool = standardized_pool(
        fit.embeddings[unlabeled],
        fit.embeddings[labeled],
        truth.labels[labeled],
        truth.num_classes,
        fit.head,
        unlabeled,
    )
    return FirstChoice(pool, ready.plan.budget, labeled, ready.learner, truth)
