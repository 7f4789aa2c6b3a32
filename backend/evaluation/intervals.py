"""Shares and their intervals.

Legend: A measured tasks, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and the interval that it lies in; level: how often such intervals hold it."""

    value: float
    low: float
    high: float
    level: float


def share(right: int, total: int, level: float = LEVEL) -> Estimate | None:
    """`right` of `total` with Wilson's interval (Wilson 1927); None of nothing."""
    if total == 0:
        return None
    found = binomtest(right, total).proportion_ci(level, method="wilson")
    return Estimate(right / total, float(found.low), float(found.high), level)


def paired_difference(first: np.ndarray, second: np.ndarray, level: float = LEVEL) -> Estimate:
    """By how much the share that `second` gets right is above that of `first`, on the same tasks.

    Bonett and Price 2012: Wald's interval of paired shares, with one more task that only the first
    gets right, and one that only the second does; so it is none of width 0 where both agree.

    first, second: (A,) bool, A >= 1.
    """
    count = len(first)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    shares = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    center = shares[1] - shares[0]
    error = ((sum(shares) - center**2) / (count + 2)) ** 0.5
    reach = float(norm.ppf((1 + level) / 2)) * error
    value = (only_second - only_first) / count
    return Estimate(value, max(-1.0, center - reach), min(1.0, center + reach), level)


def confusion(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(K, K) int64: how many tasks of class i, the row, were taken for class j, the column.

    labels, predicted: (A,) int64 in [0, K).
    """
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def recalls(confused: np.ndarray) -> list[Estimate | None]:
    """Of each class, the share that was recognized; None of a class that was not drawn.

    confused: (K, K) as `confusion` gives it.
    """
    pairs = zip(np.diag(confused), confused.sum(axis=1), strict=True)
    return [share(int(right), int(total)) for right, total in pairs]
