"""What a project computes, without a clock: heads, fine-tuned networks, rankings, accuracies.

Legend: N pool images, L labeled so far, T test images, D embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from backend.acquisition import Rule, has_two_classes, standardized_pool
from backend.replay import Truth
from backend.replay.protocol import SEEDS_A_RUN
from backend.vision import LinearHead


@dataclass(frozen=True, eq=False)
class Embedded:
    """All images as one network sees them. head: as trained with it; None: it was not trained."""

    embeddings: np.ndarray  # (N, D) float32
    test_embeddings: np.ndarray  # (T, D) float32
    head: LinearHead | None = None


class Networks(Protocol):
    """Trains on some pool images; knows all images and no label but those it is given."""

    def pretrained(self) -> Embedded:
        """The images before any label."""

    def tune(self, rows: np.ndarray, labels: np.ndarray, seed: int) -> Embedded:
        """The images after training on (L,) pool rows with their (L,) labels."""

    def fit_head(
        self, embedded: Embedded, rows: np.ndarray, labels: np.ndarray, seed: int
    ) -> LinearHead:
        """A head fitted anew on the embeddings of (L,) pool rows."""


@dataclass(frozen=True, eq=False)
class Desk:
    """One seed's project: the only one that knows the hidden labels."""

    networks: Networks
    truth: Truth
    rule: Rule
    budget: int
    seed: int

    def tune(self, rows: np.ndarray, number: int) -> Embedded:
        """The images after training number `number`, on (L,) labeled pool rows."""
        return self.networks.tune(rows, self.truth.labels[rows], self._seed(number))

    def has_two_classes(self, rows: np.ndarray) -> bool:
        """Whether there is anything to train on (L,) labeled pool rows."""
        return has_two_classes(self.truth.labels[rows])

    def ranking(
        self, embedded: Embedded, head: LinearHead | None, rows: np.ndarray, number: int
    ) -> np.ndarray:
        """(N - L,) pool rows in the order of round `number`, 1 for the first: the batch ahead.

        Args:
            head: None for one fitted anew, where two classes have a label.
            rows: (L,) labeled pool rows.
        """
        if head is None and self.has_two_classes(rows):
            head = self._head(embedded, rows, number - 1)
        unlabeled = np.setdiff1d(np.arange(len(self.truth.labels)), rows)
        if len(unlabeled) == 0:
            return unlabeled
        pool = standardized_pool(
            embedded.embeddings[unlabeled],
            embedded.embeddings[rows],
            self.truth.labels[rows],
            self.truth.num_classes,
            head,
            unlabeled,
        )
        generator = np.random.default_rng([self.seed, number])
        return unlabeled[self.rule.choose(pool, self.budget, generator).rows]

    def accuracy(self, embedded: Embedded, rows: np.ndarray) -> float:
        """The share of test images told right by a head fitted on (L,) labeled rows, L >= 1."""
        head = self._head(embedded, rows, len(rows) // self.budget)
        told = head.logits(embedded.test_embeddings).argmax(axis=1)
        return float(np.mean(told == self.truth.test_labels))

    def _head(self, embedded: Embedded, rows: np.ndarray, number: int) -> LinearHead:
        labels = self.truth.labels[rows]
        return self.networks.fit_head(embedded, rows, labels, self._seed(number))

    def _seed(self, number: int) -> int:
        """As `backend.replay` counts: equal rounds have equal seeds there and here."""
        return self.seed * SEEDS_A_RUN + number
