"""What a few seeds allow to say: intervals, and labels needed for an accuracy.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided confidence interval; both ends are the mean where all agree."""

    mean: float
    low: float
    high: float

    @property
    def has_zero(self) -> bool:
        """Whether the data do not say on which side of zero the mean lies."""
        return self.low <= 0 <= self.high


def interval(samples: np.ndarray, level: float = LEVEL) -> Interval:
    """Student's interval of the mean of (S,) samples: S - 1 degrees of freedom, ddof 1.

    Of paired differences it is the paired t-test: zero lies outside when p < 1 - level.
    ValueError: fewer than two samples.
    """
    samples = np.asarray(samples, dtype=np.float64)
    if len(samples) < 2:
        raise ValueError(f"an interval needs two samples or more; found {len(samples)}")
    mean = float(samples.mean())
    error = float(samples.std(ddof=1)) / len(samples) ** 0.5
    reach = float(stats.t.ppf((1 + level) / 2, len(samples) - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def labels_needed(n_labeled: np.ndarray, accuracy: np.ndarray, target: float) -> float:
    """Where a learning curve first reaches `target`, between rounds by a straight line.

    Args:
        n_labeled: (R,) rising label counts.
        accuracy: (R,) mean accuracies.

    The first count: it does from the start. ValueError: it never does.
    """
    reached = np.flatnonzero(accuracy >= target)
    if len(reached) == 0:
        raise ValueError(f"the highest accuracy is {accuracy.max()}; needed is {target} or more")
    after = int(reached[0])
    if after == 0:
        return float(n_labeled[0])
    before = after - 1
    share = (target - accuracy[before]) / (accuracy[after] - accuracy[before])
    return float(n_labeled[before] + share * (n_labeled[after] - n_labeled[before]))
