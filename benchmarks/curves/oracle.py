"""boss: of the batches that many strategies propose, the one after which the test is passed best.

Idea. It labels before it chooses: how much better than any strategy could one choose? It knows the
labels of pool and test, so it is no strategy, and the registry does not have it.
Source. "BoSS: A Best-of-Strategies Selector as an Oracle for Deep Active Learning", 2026, arXiv
2603.13109: batches from random parts of the pool, each trained on with its true labels, zero-one
loss on the test images.
Cost. 40 selections and 40 heads a round.
Deviations. 40 proposals a round instead of 100; ten strategies of ours, ALFA herding among them and
BAIT, the slowest, not. Parts are drawn up to the whole pool; the paper's hold 5,000 at most.
What it reaches is partly luck with these test images, which no choice could foresee.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from backend.acquisition import Pool, Rule, Selection
from backend.replay import Learner, Truth
from benchmarks.curves.settings import Setting

ORACLE = "boss"
# How many batches each proposes.
PROPOSERS = dict.fromkeys(
    (
        "random",
        "margin",
        "core-set",
        "badge",
        "typiclust",
        "alfa-mix",
        "dropquery",
        "maxherding",
        "uherding",
        "alfa-herding",
    ),
    4,
)
SMALLEST_PART = 4  # batches
SEED = 0  # of all heads that are tried


def has_oracle(setting: Setting) -> bool:
    """Whether so many networks a round can be trained: heads alone, and with first labels."""
    return setting.network == "head" and not setting.is_cold


@dataclass(frozen=True, eq=False)
class BestOfStrategies:
    """Chooses as a rule does, but knows the truth. rule: how each of the strategies chooses."""

    learner: Learner
    truth: Truth
    rule: Rule

    def choose(
        self,
        pool: Pool,
        budget: int,
        generator: np.random.Generator,
        *,
        supply: int | None = None,
    ) -> Selection:
        """The best batch, the first of equals; `supply` plays no part: nothing is behind it."""
        shown = np.setdiff1d(np.arange(len(self.truth.labels)), pool.ids)
        proposals = list(self._proposals(pool, budget, generator))
        accuracies = [
            self._accuracy(np.concatenate([shown, pool.ids[rows]])) for _, rows in proposals
        ]
        strategy, rows = proposals[int(np.argmax(accuracies))]
        return Selection(rows, np.arange(len(rows)), len(rows), {"strategy": strategy}, None)

    def _proposals(
        self, pool: Pool, budget: int, generator: np.random.Generator
    ) -> Iterator[tuple[str, np.ndarray]]:
        """`(strategy, (B,) pool rows)`, each from a random part of the pool."""
        smallest = min(SMALLEST_PART * budget, len(pool.ids))
        for strategy, count in PROPOSERS.items():
            rule = replace(self.rule, strategy=strategy)
            for _ in range(count):
                size = generator.integers(smallest, len(pool.ids), endpoint=True)
                part = np.sort(generator.choice(len(pool.ids), size, replace=False))
                within = replace(pool, embeddings=pool.embeddings[part], ids=pool.ids[part])
                yield strategy, part[rule.choose(within, budget, generator, supply=0).rows]

    def _accuracy(self, rows: np.ndarray) -> float:
        """On the test images, after training on the images of `rows` that have a label."""
        rows = self.truth.labeled(rows)
        fit = self.learner.fit(rows, self.truth.labels[rows], SEED, None)
        return float(np.mean(fit.predictions == self.truth.test_labels))
