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
# Of random's final accuracy: what a strategy is to reach with fewer labels.
GOAL = 0.95


@dataclass(frozen=True)
class Reach:
    """With how many labels a strategy, and random, come to GOAL of random's final accuracy.

    accuracy: that goal, in points. labels: None where the strategy does not come to it.
    share: of random's labels, in percent; None where it or its interval cannot be told.
    """

    accuracy: float
    labels: float | None
    random_labels: float
    share: Interval | None

    @property
    def words(self) -> str:
        """What users ask: how many of the labels are needed."""
        goal = f"{100 * GOAL:.0f} % of random's final accuracy ({self.accuracy:.1f} %)"
        if self.labels is None:
            return (
                f"it does not reach {goal}, for which random needs {self.random_labels:.0f} labels"
            )
        counts = f"{self.labels:.0f} instead of {self.random_labels:.0f}"
        share = 100 * self.labels / self.random_labels
        told = f"it reaches {goal} with {share:.0f} % of the labels that random needs for it"
        if self.share is None:
            return f"{told} ({counts}; how sure that is cannot be told)"
        return f"{told} ({counts}; {_percent_range(self.share)})"


@dataclass(frozen=True)
class Comparison:
    """A strategy against random. Accuracies are in points (0 to 100), over chosen rounds only."""

    strategy: str
    mean_accuracy: Interval
    difference: Interval  # of the mean accuracy from random's
    saved: Interval  # labels, at the highest accuracy that both reach
    reach: Reach

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        found = self.difference
        if found.has_zero:
            return (
                f"{self.strategy}: {NO_DIFFERENCE}; mean accuracy {_signed(found.mean)} points "
                f"from random's, {_range(found, 1)}; {self.reach.words}."
            )
        side = "above" if found.mean > 0 else "below"
        return (
            f"{self.strategy}: {self.reach.words}; {abs(found.mean):.1f} points {side} random in "
            f"mean accuracy ({_range(found, 1)}); {self._saving}."
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


def reach(curves: Curves, reference: Curves) -> Reach:
    """What the mean curves say; the interval is Student's over the seeds, by the jackknife.

    Tukey 1958: each seed is left out once, and what that changes stands for the seed.
    """
    seeds = len(curves.accuracy)
    goal, labels, random_labels = _goal(curves, reference, np.arange(seeds))
    share = None
    if labels is not None:
        left_out = [_goal(curves, reference, np.delete(np.arange(seeds), n)) for n in range(seeds)]
        shares = [100 * own / other for _, own, other in left_out if own is not None]
        if len(shares) == seeds:
            whole = 100 * labels / random_labels
            spread = interval(seeds * whole - (seeds - 1) * np.array(shares))
            half = spread.high - spread.mean
            share = Interval(whole, whole - half, whole + half)
    return Reach(100 * goal, labels, random_labels, share)


def _goal(
    curves: Curves, reference: Curves, seeds: np.ndarray
) -> tuple[float, float | None, float]:
    """GOAL of random's final accuracy over some seeds, and the labels of both for it."""
    own, random = curves.accuracy[seeds].mean(axis=0), reference.accuracy[seeds].mean(axis=0)
    goal = GOAL * float(random[-1])
    labels = labels_needed(curves.n_labeled, own, goal) if own.max() >= goal else None
    return goal, labels, labels_needed(reference.n_labeled, random, goal)


def _comparison(strategy: str, curves: Curves, reference: Curves, first: int) -> Comparison:
    accuracies = mean_accuracies(curves, first)
    return Comparison(
        strategy=strategy,
        mean_accuracy=interval(accuracies),
        difference=interval(accuracies - mean_accuracies(reference, first)),
        saved=interval(labels_saved(curves, reference)),
        reach=reach(curves, reference),
    )


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _percent_range(found: Interval) -> str:
    return f"95 % interval {max(0.0, found.low):.0f} to {found.high:.0f} %"


def _range(found: Interval, digits: int) -> str:
    return f"95 % interval {found.low:+.{digits}f} to {found.high:+.{digits}f}"
