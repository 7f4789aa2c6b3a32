"""Comparisons by hand and against scipy's paired test; their sentences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backend.backtest.comparison import compare, labels_saved, mean_accuracies
from backend.backtest.results import Curves

COUNTS = np.array([10, 20, 30])
RANDOM = np.array([[0.2, 0.4, 0.6], [0.2, 0.5, 0.6], [0.1, 0.4, 0.7]])
AHEAD = RANDOM + np.array([[0.0, 0.2, 0.1], [0.0, 0.1, 0.2], [0.0, 0.2, 0.2]])


def curves(**accuracy: np.ndarray) -> dict[str, Curves]:
    return {name: Curves(COUNTS, rows) for name, rows in accuracy.items()}


def test_mean_accuracies_leave_out_the_batch_that_no_strategy_chose() -> None:
    found = Curves(COUNTS, RANDOM)

    assert mean_accuracies(found, first=10) == pytest.approx([50, 55, 55])
    assert mean_accuracies(found, first=0) == pytest.approx([40, 130 / 3, 40])


def test_difference_is_scipys_paired_interval() -> None:
    (found,) = compare(curves(margin=AHEAD, random=RANDOM), first=10)

    test = stats.ttest_rel(100 * AHEAD[:, 1:].mean(axis=1), 100 * RANDOM[:, 1:].mean(axis=1))
    wanted = test.confidence_interval(0.95)
    assert found.strategy == "margin"
    assert (found.difference.low, found.difference.high) == pytest.approx((wanted.low, wanted.high))


def test_labels_saved_are_counted_at_the_lower_last_accuracy_of_each_seed() -> None:
    # Seed 0: random reaches 0.6 with 30, the other with 20. Seed 1: the other ends at 0.4, which
    # random reaches halfway from 10 to 20.
    random = Curves(COUNTS, np.array([[0.2, 0.4, 0.6], [0.3, 0.5, 0.6]]))
    other = Curves(COUNTS, np.array([[0.2, 0.6, 0.8], [0.3, 0.3, 0.4]]))

    assert labels_saved(other, random) == pytest.approx([10, -15])
    assert labels_saved(random, other) == pytest.approx([-10, 15])


def test_verdict_is_no_difference_when_the_interval_holds_zero() -> None:
    noisy = RANDOM + np.array([[0, 0.1, 0], [0, -0.1, 0], [0, 0.02, 0]])

    same, near = compare(curves(auto=RANDOM, margin=noisy, random=RANDOM), first=10)

    assert same.verdict.startswith("auto: no difference on this data")
    assert near.verdict.startswith("margin: no difference on this data; mean accuracy +0.3 points")


def test_verdict_names_points_and_labels_when_a_strategy_is_ahead_or_behind() -> None:
    (ahead,) = compare(curves(margin=AHEAD, random=RANDOM), first=10)
    (behind,) = compare(curves(margin=RANDOM, random=AHEAD), first=10)

    assert "margin: 16.7 points above random" in ahead.verdict
    # 10, 10 and (30 - 20) x 2/3 fewer, 8.9 on average
    assert "it needs 9 labels fewer" in ahead.verdict
    assert "margin: 16.7 points below random" in behind.verdict
    assert "it needs 9 labels more" in behind.verdict
    assert "no difference" not in ahead.verdict + behind.verdict
