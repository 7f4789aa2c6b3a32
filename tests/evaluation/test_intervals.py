"""Shares with Wilson's interval, confusion and recall, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.evaluation import confusion, recalls, share


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
