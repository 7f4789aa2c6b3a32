"""Strategies against random, paired by seed: accuracy, labels saved, and what may be said of it.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.backtest.design import RANDOM
from backend.backtest.results import Curves
from backend.replay import Interval, interval, labels_needed

NO_DIFFERENCE = "no difference on this data"


@dataclass(frozen=True)
class Comparison:
    """A strategy against random. Accuracies are in points (0 to 100), over chosen rounds only."""

    strategy: str
    mean_accuracy: Interval
    difference: Interval  # of the mean accuracy from random's
    saved: Interval  # labels, at the highest accuracy that both reach

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        found = self.difference
        if found.has_zero:
            return (
                f"{self.strategy}: {NO_DIFFERENCE}; mean accuracy {_signed(found.mean)} points "
                f"from random's, {_range(found, 1)}."
            )
        side = "above" if found.mean > 0 else "below"
        return (
            f"{self.strategy}: {abs(found.mean):.1f} points {side} random in mean accuracy "
            f"({_range(found, 1)}); {self._saving}."
        )

    @property
    def _saving(self) -> str:
        count = round(abs(self.saved.mean))
        more_or_less = "fewer" if self.saved.mean > 0 else "more"
        caution = ", so labels saved are not certain" if self.saved.has_zero else ""
        return (
            f"it needs {count} labels {more_or_less} for the same accuracy "
            f"({_range(self.saved, 0)}{caution})"
        )


def compare(curves: dict[str, Curves], first: int) -> list[Comparison]:
    """A comparison for every strategy but random.

    Args:
        curves: by strategy, random among them.
        first: label count of the first batch that all share, which no strategy chose; 0 for none.
    """
    reference = curves[RANDOM]
    return [
        _comparison(strategy, found, reference, first)
        for strategy, found in curves.items()
        if strategy != RANDOM
    ]


def mean_accuracies(curves: Curves, first: int) -> np.ndarray:
    """(S,) mean accuracies in points, over the rounds after the shared first batch."""
    return 100 * curves.accuracy[:, curves.n_labeled > first].mean(axis=1)


def labels_saved(curves: Curves, reference: Curves) -> np.ndarray:
    """(S,) labels by which each seed's curve is ahead of the reference's.

    Measured at the lower of the seed's two last accuracies: the highest that both surely reach.
    """
    return np.array(
        [
            labels_needed(reference.n_labeled, other, min(own[-1], other[-1]))
            - labels_needed(curves.n_labeled, own, min(own[-1], other[-1]))
            for own, other in zip(curves.accuracy, reference.accuracy, strict=True)
        ]
    )


def _comparison(strategy: str, curves: Curves, reference: Curves, first: int) -> Comparison:
    accuracies = mean_accuracies(curves, first)
    return Comparison(
        strategy=strategy,
        mean_accuracy=interval(accuracies),
        difference=interval(accuracies - mean_accuracies(reference, first)),
        saved=interval(labels_saved(curves, reference)),
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _range(found: Interval, digits: int) -> str:
    return f"95 % interval {found.low:+.{digits}f} to {found.high:+.{digits}f}"
