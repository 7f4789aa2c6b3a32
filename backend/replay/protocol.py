"""The paper's protocol: train, measure, select, reveal the labels, again.

Section 4.1 of the ALFA-Mix paper, and BADGE's: the same first labels and the same test images for
every strategy of a seed. A round's choice is the live one's (`backend.acquisition.rule`).

Legend: N pool images, L labeled so far, T test images, D embedding, K classes.
An image of no class is shown once, skipped, and taught from never.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from backend.acquisition.contract import Pool, Selection
from backend.acquisition.rule import standardized_pool
from backend.vision import LinearHead

OF_NO_CLASS = -1
SEEDS_A_RUN = 10_000  # more than a run has rounds: no two fits of two runs share a seed


@dataclass(frozen=True, eq=False)
class Truth:
    """What only the protocol knows; neither learners nor strategies ever see it whole."""

    labels: np.ndarray  # (N,) int64 in [0, K); OF_NO_CLASS: whoever is shown it skips it
    test_labels: np.ndarray  # (T,) int64 in [0, K)
    num_classes: int

    def labeled(self, shown: np.ndarray) -> np.ndarray:
        """Those of the pool rows shown to people that they give a label."""
        return shown[self.labels[shown] != OF_NO_CLASS]


@dataclass(frozen=True)
class Plan:
    """How many labels when. first: drawn at random; 0 lets the cold start choose them too."""

    first: int
    budget: int
    rounds: int


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network. network: whatever its learner needs to go on from it."""

    embeddings: np.ndarray  # (N, D) float32 of the pool images
    head: LinearHead  # on these embeddings
    predictions: np.ndarray  # (T,) int64 class of each test image
    network: Any = None


class Learner(Protocol):
    """Trains on some pool images; knows all images and no label but those it is given."""

    def untrained(self) -> np.ndarray:
        """(N, D) float32 embeddings of the pool images before any label."""

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        """The network trained on (L,) pool rows with their (L,) labels."""


class Chooser(Protocol):
    """What chooses a round's batch: the live round's `Rule`, or what rules are held against."""

    def choose(
        self,
        pool: Pool,
        budget: int,
        generator: np.random.Generator,
        *,
        supply: int | None = None,
    ) -> Selection:
        """The batch and `supply` rows behind it, None for all."""


@dataclass(frozen=True)
class Round:
    """One row of a learning curve.

    n_labeled: images that people were shown, also those that they skipped. select_s: of the
        selection that led here; 0 for the first. class_counts: labels of each class so far.
    """

    number: int
    n_labeled: int
    accuracy: float
    train_s: float
    select_s: float
    class_counts: tuple[int, ...] = ()


def replay(learner: Learner, truth: Truth, plan: Plan, rule: Chooser, seed: int) -> Iterator[Round]:
    """A row after each training, `plan.rounds` + 1 of them with first labels.

    Ends sooner when the pool is empty. Equal arguments give equal rows, but for the seconds.
    """
    shown = np.random.default_rng(seed).permutation(len(truth.labels))[: plan.first]
    fit, select_s = None, 0.0
    for number in range(plan.rounds + 1):
        if number:
            started = time.perf_counter()
            generator = np.random.default_rng([seed, number])
            picked = _select(learner, truth, rule, fit, shown, plan.budget, generator)
            select_s = time.perf_counter() - started
            if len(picked) == 0:
                return
            shown = np.concatenate([shown, picked])
        rows = truth.labeled(shown)
        if len(rows):
            started = time.perf_counter()
            fit = learner.fit(rows, truth.labels[rows], seed * SEEDS_A_RUN + number, fit)
            train_s = time.perf_counter() - started
            accuracy = float(np.mean(fit.predictions == truth.test_labels))
            counts = np.bincount(truth.labels[rows], minlength=truth.num_classes)
            yield Round(number, len(shown), accuracy, train_s, select_s, tuple(counts.tolist()))


def _select(
    learner: Learner,
    truth: Truth,
    rule: Chooser,
    fit: Fit | None,
    shown: np.ndarray,
    budget: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """The pool rows to reveal next."""
    unlabeled = np.setdiff1d(np.arange(len(truth.labels)), shown)
    rows = truth.labeled(shown)
    embeddings = learner.untrained() if fit is None else fit.embeddings
    pool = standardized_pool(
        embeddings[unlabeled],
        embeddings[rows],
        truth.labels[rows],
        truth.num_classes,
        None if fit is None else fit.head,
        unlabeled,
    )
    return unlabeled[rule.choose(pool, budget, generator, supply=0).rows]
