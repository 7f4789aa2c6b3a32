"""Logistic regression is scikit-learn's, held out in folds that leave every class something."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from backend.vision.heads.candidate import Labeled
from backend.vision.heads.logistic import STRENGTHS, USUAL_C, logistic_regressions
from tests.vision.heads.blobs import differences, labeled, on_rows


@pytest.mark.parametrize("counts", [(12, 9), (9, 7, 1, 5)])
def test_probabilities_are_scikit_learns_for_two_classes_and_more(counts: tuple[int, ...]) -> None:
    data = labeled(counts, dimension=4)
    found = list(logistic_regressions(data, np.random.default_rng(0)))
    assert tuple(one.strength for one in found) == STRENGTHS
    for one in found:
        other = LogisticRegression(C=USUAL_C / one.strength, max_iter=1000)
        logits = on_rows(one, data)
        chances = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        expected = other.fit(data.rows, data.labels).predict_proba(data.rows)
        np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_held_out_logits_are_of_fits_without_the_label_when_each_class_has_two() -> None:
    # of two labels a class one is out, one stays, whatever the folds
    data = labeled((2, 2, 2), dimension=3)
    one = next(iter(logistic_regressions(data, np.random.default_rng(0))))
    is_known = np.zeros(len(data.labels), dtype=bool)
    for number, row in enumerate(data.held_out):
        for size in range(1, 4):
            for out in _sets_with(row, size, data.labels):
                other = LogisticRegression(C=USUAL_C / one.strength, max_iter=1000)
                kept = np.delete(np.arange(6), out)
                other.fit(data.rows[kept], data.labels[kept])
                expected = differences(other.decision_function(data.rows[[row]]))
                is_known[number] |= np.allclose(
                    differences(one.held_out[[number]]), expected, atol=1e-3
                )
    assert is_known.all()


def _sets_with(row: int, size: int, labels: np.ndarray):
    """Sets of `size` rows with `row` that leave every class one."""
    from itertools import combinations

    for out in combinations(range(len(labels)), size):
        if row in out and len(set(labels[list(out)])) == size:
            yield list(out)


def test_equal_generators_give_equal_folds() -> None:
    data = labeled((8, 6, 1), dimension=3)
    first, again, other = (
        next(iter(logistic_regressions(data, np.random.default_rng(seed)))) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.held_out, again.held_out)
    assert not np.array_equal(first.held_out, other.held_out)


def test_classes_are_as_likely_as_frequent_when_nothing_tells_them_apart() -> None:
    data = Labeled(np.empty((4, 0)), np.array([0, 0, 0, 1]))
    for found in logistic_regressions(data, np.random.default_rng(0)):
        np.testing.assert_allclose(np.exp(found.bias), [0.75, 0.25])
