"""Whether probabilities mean what they say: Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017.

Legend: A measured tasks, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax
from scipy.stats import chi2

from backend.evaluation.intervals import LEVEL, Estimate, share

BINS = 10
LEAST_PROBABILITY = 1e-6
# Beyond these nothing is calibrated any more.
TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Bin:
    """The tasks whose class had a probability between two ends: how sure, and how often right."""

    low: float
    high: float
    count: int
    probability: float
    right: Estimate


def reliability(probabilities: np.ndarray, is_right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The bins of a reliability diagram that hold any task, from unsure to sure.

    probabilities: (A,) of the predicted class. is_right: (A,) bool.
    """
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.digitize(probabilities, edges) - 1, 0, bins - 1)
    return [_bin(edges[n : n + 2], probabilities, is_right, places == n) for n in np.unique(places)]


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> Estimate:
    """What log-probabilities are to be divided by to fit the labels best; above 1: too sure.

    By likelihood; the interval is that of the profile likelihood, by chi-square of one degree of
    freedom. It ends where TEMPERATURES do. probabilities: (A, K), A from 1 on. labels: (A,) int64
    in [0, K).
    """
    logits = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-scaled[rows, labels].sum())

    lowest, highest = np.log(TEMPERATURES)
    best = minimize_scalar(loss, bounds=(lowest, highest), method="bounded")
    most = best.fun + chi2.ppf(LEVEL, df=1) / 2

    def end(outside: float) -> float:
        if loss(outside) <= most:
            return outside
        return float(brentq(lambda at: loss(at) - most, best.x, outside))

    value, low, high = np.exp([best.x, end(lowest), end(highest)]).tolist()
    return Estimate(value, low, high, LEVEL)


def _bin(
    ends: np.ndarray, probabilities: np.ndarray, is_right: np.ndarray, here: np.ndarray
) -> Bin:
    right = share(int(is_right[here].sum()), int(here.sum()))
    assert right is not None
    low, high = map(float, ends)
    return Bin(low, high, int(here.sum()), float(probabilities[here].mean()), right)
