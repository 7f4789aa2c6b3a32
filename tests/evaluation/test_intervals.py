"""Shares with Wilson's interval, confusion and recall, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multinomial

from backend.evaluation import confusion, paired_difference, recalls, share


@pytest.mark.parametrize(("right", "total"), [(0, 5), (3, 5), (5, 5), (70, 100)])
def test_share_has_wilsons_interval(right, total):
    z, p = 1.959963984540054, right / total
    center = (p + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z / (1 + z**2 / total) * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    found = share(right, total)
    assert found.value == p
    assert (found.low, found.high) == pytest.approx((center - half, center + half), abs=1e-12)


def test_share_of_nothing_is_none():
    assert share(0, 0) is None


def paired(both: int, only_first: int, only_second: int, none: int):
    """Whether the first and whether the second is right, task by task."""
    first = np.repeat([True, True, False, False], [both, only_first, only_second, none])
    second = np.repeat([True, False, True, False], [both, only_first, only_second, none])
    return first, second


def test_paired_difference_has_bonett_and_prices_interval():
    # 20 tasks, 5 and 2 of one only: (5+1)/22 and (2+1)/22, their difference -3/22,
    # its variance (9/22 - 9/484) / 22 = 189/10648
    found = paired_difference(*paired(10, 5, 2, 3))
    assert found.value == -3 / 20
    reach = 1.959963984540054 * math.sqrt(189 / 10648)
    assert (found.low, found.high) == pytest.approx((-3 / 22 - reach, -3 / 22 + reach), abs=1e-12)
    turned = paired_difference(*reversed(paired(10, 5, 2, 3)))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_paired_difference_is_not_certain_when_both_are_always_right():
    found = paired_difference(*paired(20, 0, 0, 0))
    # twice 1/22, variance (2/22) / 22
    reach = 1.959963984540054 * math.sqrt(2) / 22
    assert (found.value, found.low, found.high) == pytest.approx((0, -reach, reach), abs=1e-12)


@pytest.mark.parametrize("shares", [(0.1, 0.1), (0.02, 0.1), (0.3, 0.05), (0.0, 0.05)])
def test_paired_difference_holds_the_truth_19_times_of_20(shares):
    # exhaustive over all outcomes of 40 tasks; shares: of what one model alone gets right
    first, second = shares
    covered = 0.0
    for only_first in range(41):
        for only_second in range(41 - only_first):
            rest = 40 - only_first - only_second
            found = paired_difference(*paired(rest, only_first, only_second, 0))
            if found.low <= second - first <= found.high:
                counts = [only_first, only_second, rest]
                covered += multinomial.pmf(counts, 40, [first, second, 1 - first - second])
    assert covered > 0.94


def test_confusion_counts_pairs_of_classes():
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0])
    found = confusion(labels, predicted, 3)
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 2]]
    shares = recalls(found)
    assert shares[1] is None
    assert (shares[0].value, shares[2].value) == (1 / 2, 2 / 3)


def test_confusion_of_nothing_is_empty():
    none = np.empty(0, dtype=np.int64)
    assert confusion(none, none, 2).tolist() == [[0, 0], [0, 0]]
