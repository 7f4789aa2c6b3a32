"""Reliability and temperature, by hand and on labels drawn from known probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit, softmax

from backend.evaluation import reliability, temperature


def drawn_from(probabilities: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(A,) labels, each drawn by the (K,) probabilities of its row."""
    return np.array([generator.choice(len(row), p=row) for row in probabilities])


def test_reliability_gathers_tasks_by_probability():
    probabilities = np.array([0.55, 0.58, 0.92, 1.0])
    found = reliability(probabilities, np.array([True, False, True, True]))
    assert [(one.count, one.right.value) for one in found] == [(2, 0.5), (2, 1.0)]
    assert [one.probability for one in found] == pytest.approx([0.565, 0.96])
    assert (found[0].low, found[0].high) == pytest.approx((0.5, 0.6))


def test_reliability_of_nothing_is_empty():
    assert reliability(np.empty(0), np.empty(0, dtype=bool)) == []


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(true):
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=(4000, 5))
    found = temperature(
        softmax(logits, axis=1), drawn_from(softmax(logits / true, axis=1), generator)
    )
    assert found.value == pytest.approx(true, rel=0.1)
    assert found.low < true < found.high


def test_temperature_is_a_number_when_a_class_was_impossible():
    found = temperature(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert found.value > 1


@pytest.mark.parametrize("right", [28, 32, 38])
def test_interval_of_a_temperature_is_that_of_the_share_that_was_right(right):
    # It is 80 % sure of 40 tasks of two classes: with temperature T it would be sigmoid(logit / T),
    # which is the share that was right. Of that, every value is tried.
    shares = np.linspace(0.5001, 0.9999, 200_001)
    likelihood = right * np.log(shares) + (40 - right) * np.log(1 - shares)
    likely = shares[likelihood >= likelihood.max() - 3.841459 / 2]
    expected = logit(0.8) / logit(np.array([right / 40, likely.max(), likely.min()]))
    found = temperature(np.array([[0.8, 0.2]] * 40), np.array([0] * right + [1] * (40 - right)))
    assert [found.value, found.low, found.high] == pytest.approx(expected, rel=2e-3)


def test_interval_ends_at_the_last_temperatures_when_nothing_can_be_told():
    found = temperature(np.full((40, 2), 0.5), np.array([0, 1] * 20))
    assert (found.low, found.high) == pytest.approx((0.05, 20))


@pytest.mark.parametrize("tasks", [30, 200])
def test_right_probabilities_are_called_wrong_in_one_case_of_20(tasks):
    generator = np.random.default_rng(tasks)
    wrong = 0
    for _ in range(400):
        given = softmax(generator.normal(scale=2, size=(tasks, 5)), axis=1)
        found = temperature(given, drawn_from(given, generator))
        wrong += not found.low <= 1 <= found.high
    # 20 are expected; of a binomial, 99 in 100 lie within these.
    assert 9 <= wrong <= 32
