"""Intervals against scipy's t-tests, label counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backend.replay import Interval, interval, labels_needed

SAMPLES = np.array([3.1, 2.2, 4.7, 3.9, 2.8])
OTHERS = np.array([2.9, 2.5, 4.1, 3.0, 2.9])
COUNTS = np.array([10, 20, 40])


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_interval_is_scipys_when_one_sample_is_tested(level: float) -> None:
    wanted = stats.ttest_1samp(SAMPLES, 0).confidence_interval(level)

    found = interval(SAMPLES, level)

    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.mean == pytest.approx(3.34)


@pytest.mark.parametrize("shift", [0.0, 0.5, -2.0])
def test_interval_has_zero_exactly_when_the_paired_test_is_not_significant(shift: float) -> None:
    test = stats.ttest_rel(SAMPLES + shift, OTHERS)
    wanted = test.confidence_interval(0.95)

    found = interval(SAMPLES + shift - OTHERS)

    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.has_zero == (test.pvalue >= 0.05)


def test_interval_is_a_point_when_all_samples_are_equal() -> None:
    assert interval(np.zeros(3)) == Interval(0, 0, 0)
    assert interval(np.zeros(3)).has_zero
    assert not interval(np.ones(3)).has_zero


def test_interval_raises_when_there_is_one_sample() -> None:
    with pytest.raises(ValueError, match="two samples or more; found 1"):
        interval(np.ones(1))


@pytest.mark.parametrize(
    ("accuracy", "target", "wanted"),
    [
        ([0.5, 0.7, 0.9], 0.7, 20),
        ([0.5, 0.7, 0.9], 0.6, 15),  # half of the way from 10 to 20
        ([0.5, 0.7, 0.9], 0.75, 25),  # a quarter of the way from 20 to 40
        ([0.5, 0.7, 0.9], 0.4, 10),  # from the start
        ([0.5, 0.8, 0.6], 0.65, 15),  # where it is reached first, though it falls again
    ],
)
def test_labels_needed_is_where_the_line_reaches_the_target(
    accuracy: list[float], target: float, wanted: float
) -> None:
    assert labels_needed(COUNTS, np.array(accuracy), target) == pytest.approx(wanted)


def test_labels_needed_raises_when_the_target_is_never_reached() -> None:
    with pytest.raises(ValueError, match=r"highest accuracy is 0\.9; needed is 0\.91 or more"):
        labels_needed(COUNTS, np.array([0.5, 0.7, 0.9]), 0.91)
