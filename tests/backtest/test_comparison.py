"""Comparisons by hand and against scipy's paired test; their sentences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backend.backtest.comparison import compare, labels_saved, mean_accuracies, reach
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

    assert ahead.verdict.startswith("margin: it reaches 95 % of random's final accuracy (60.2 %)")
    assert "; 16.7 points above random" in ahead.verdict
    # 10, 10 and (30 - 20) x 2/3 fewer, 8.9 on average
    assert "it needs 9 labels fewer" in ahead.verdict
    assert behind.verdict.startswith("margin: it does not reach 95 %")
    assert "; 16.7 points below random" in behind.verdict
    assert "it needs 9 labels more" in behind.verdict
    assert "no difference" not in ahead.verdict + behind.verdict


def test_reach_is_read_from_the_mean_curves() -> None:
    # Random ends at 0.8 on average: the goal is 0.76, which it has at 20 + 10 x 0.16 / 0.2 = 28
    # labels; the other, from 0.6 to 0.8 on average, at 10 + 10 x 0.16 / 0.2 = 18.
    random = Curves(COUNTS, np.array([[0.3, 0.5, 0.7], [0.5, 0.7, 0.9]]))
    other = Curves(COUNTS, np.array([[0.5, 0.7, 0.8], [0.7, 0.9, 1.0]]))

    found = reach(other, random)

    assert (found.accuracy, found.labels, found.random_labels) == pytest.approx((76, 18, 28))
    # Each seed alone: goals 0.665 and 0.855; 18.25 of 28.25 and 17.75 of 27.75 labels.
    shares = 100 * np.array([18.25 / 28.25, 17.75 / 27.75])
    half = stats.t.ppf(0.975, 1) * np.std(shares, ddof=1) / np.sqrt(2)
    assert found.share.mean == pytest.approx(100 * 18 / 28)
    assert found.share.high - found.share.mean == pytest.approx(half)
    assert found.words.startswith(
        "it reaches 95 % of random's final accuracy (76.0 %) with 64 % of the labels that random "
        "needs for it (18 instead of 28; 95 % interval "
    )


def test_reach_says_so_when_a_strategy_does_not_come_that_far() -> None:
    random = Curves(COUNTS, np.array([[0.3, 0.5, 0.7], [0.5, 0.7, 0.9]]))
    behind = Curves(COUNTS, np.array([[0.3, 0.5, 0.7], [0.3, 0.4, 0.5]]))

    found = reach(behind, random)

    assert (found.labels, found.share) == (None, None)
    assert found.words == (
        "it does not reach 95 % of random's final accuracy (76.0 %), for which random needs 28 "
        "labels"
    )


def test_reach_has_no_interval_when_it_hangs_on_one_seed() -> None:
    random = Curves(COUNTS, np.array([[0.3, 0.5, 0.7], [0.5, 0.7, 0.9]]))
    once = Curves(COUNTS, np.array([[0.3, 0.4, 0.6], [0.9, 0.9, 1.0]]))

    assert "how sure that is cannot be told" in reach(once, random).words


def test_verdict_says_with_how_many_labels_when_there_is_no_difference() -> None:
    (same,) = compare(curves(auto=RANDOM, random=RANDOM), first=10)

    # 0.95 x 0.6333 = 0.6017, from 0.4333 to 0.6333 between 20 and 30: 28.4 labels.
    assert same.verdict.endswith(
        "with 100 % of the labels that random needs for it "
        "(28 instead of 28; 95 % interval 100 to 100 %)."
    )
