"""Accuracy against labels, told from few measurements of many rounds.

Model. The error of a head on n labels is one of two families:

    power law   e(n) = e1 (r + (1 - r) m^-g)             m = n / n1
    odds        e(n) / (1 - e(n)) = e1 / (1 - e1) m^-b

e1 is the error on n1 labels, the fewest that were measured; r the share of it that no number of
labels removes; g and b are rates. Power laws with a floor are what learning curves mostly look like
(Cortes et al. 1993, Hestness et al. 2017; of many forms Viering and Loog 2023 find them among the
best); odds that grow steadily stand for the slow ones, which a floor would call finished too early.
Right and wrong are binomial. More labels never make it worse, and in the end each batch brings less
than the one before: that is what lets few measurements speak of the next batch at all.

Prior. Both families alike; flat in e1, in log g from 0.1 to 1 and in b from 0 to 1.5, falling in r
from 0 to 1. The posterior is a sum over a grid: nothing is approximated but by its mesh.

What was measured of an earlier round is told from what was unlabeled then. The more the strategy
takes what is hard, the easier is what is left; where it has labeled a large part of the pool, the
curve says more of the rest than of new images.

Legend: M measurements, G points of the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backend.evaluation.intervals import Estimate

# Central: what lies above the upper end is one in twenty.
LEVEL = 0.9
ERRORS = np.linspace(0.005, 0.995, 100)
FLOORS = np.linspace(0.0, 1.0, 26)
RATES = np.geomspace(0.1, 1.0, 12)
ODDS_RATES = np.linspace(0.0, 1.5, 61)


@dataclass(frozen=True)
class Measurement:
    """A head on `n_labeled` labels was right for `right` of `total` tasks drawn at random."""

    n_labeled: int
    right: int
    total: int


def gathered(measured: Iterable[Measurement]) -> list[Measurement]:
    """One measurement for each number of labels, by that number."""
    found: dict[int, Measurement] = {}
    for one in measured:
        known = found.get(one.n_labeled, Measurement(one.n_labeled, 0, 0))
        right, total = known.right + one.right, known.total + one.total
        found[one.n_labeled] = Measurement(one.n_labeled, right, total)
    return [found[n] for n in sorted(found)]


@dataclass(frozen=True)
class LearningCurve:
    """The curve through measurements, M of them, one or more, each of a head on 1 label or more."""

    measured: Sequence[Measurement]

    @property
    def fewest(self) -> int:
        """The fewest labels that were measured: the curve says nothing of fewer."""
        return self.measured[0].n_labeled

    @property
    def total(self) -> int:
        """How many tasks were measured."""
        return sum(one.total for one in self.measured)

    def accuracy_at(self, n_labeled: float) -> Estimate:
        """The accuracy on so many labels. ValueError: they are fewer than were ever measured."""
        return self._estimate(1 - self._errors_at(n_labeled))

    def gain(self, n_labeled: float, more: float) -> Estimate:
        """What `more` labels add to the accuracy on `n_labeled`, in shares.

        ValueError: those are fewer than were ever measured.
        """
        return self._estimate(self._errors_at(n_labeled) - self._errors_at(n_labeled + more))

    def _errors_at(self, n_labeled: float) -> np.ndarray:
        """(G,) errors at so many labels, by each point of the grid."""
        if n_labeled < self.fewest:
            raise ValueError(f"{n_labeled} labels; the curve begins at {self.fewest}")
        multiple = n_labeled / self.fewest
        first, floor, rate = _power_laws()
        by_power = first * (floor + (1 - floor) * multiple**-rate)
        first, rate = _odds()
        by_odds = first / (first + (1 - first) * multiple**rate)
        return np.concatenate([by_power, by_odds])

    def _estimate(self, values: np.ndarray) -> Estimate:
        """Mean and central interval of (G,) values under the posterior."""
        order = np.argsort(values)
        below = np.cumsum(self._weights[order])
        low, high = np.searchsorted(below, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        last = len(values) - 1
        return Estimate(
            float(values @ self._weights),
            float(values[order[min(low, last)]]),
            float(values[order[min(high, last)]]),
            LEVEL,
        )

    @cached_property
    def _weights(self) -> np.ndarray:
        """(G,) the posterior."""
        log_posterior = _log_prior()
        for one in self.measured:
            errors = self._errors_at(one.n_labeled).clip(1e-9, 1 - 1e-9)
            wrong = one.total - one.right
            log_posterior += one.right * np.log1p(-errors) + wrong * np.log(errors)
        weights = np.exp(log_posterior - log_posterior.max())
        return weights / weights.sum()


def _power_laws() -> np.ndarray:
    """(3, .): the error on the fewest labels, the share that stays, the rate."""
    return np.stack([axis.ravel() for axis in np.meshgrid(ERRORS, FLOORS, RATES)])


def _odds() -> np.ndarray:
    """(2, .): the error on the fewest labels, the rate."""
    return np.stack([axis.ravel() for axis in np.meshgrid(ERRORS, ODDS_RATES)])


def _log_prior() -> np.ndarray:
    """(G,)"""
    falling = np.maximum(1 - _power_laws()[1], 1e-9)
    flat = np.ones(_odds().shape[1])
    return np.log(np.concatenate([falling / falling.sum(), flat / flat.sum()]))
