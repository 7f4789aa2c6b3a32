"""Reliability and temperature, by hand and on labels drawn from known probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from backend.evaluation import expected_calibration_error, reliability, temperature


def test_reliability_gathers_tasks_by_probability():
    probabilities = np.array([0.55, 0.58, 0.92, 1.0])
    found = reliability(probabilities, np.array([True, False, True, True]))
    assert [(one.count, one.right.value) for one in found] == [(2, 0.5), (2, 1.0)]
    assert [one.probability for one in found] == pytest.approx([0.565, 0.96])
    assert (found[0].low, found[0].high) == pytest.approx((0.5, 0.6))
    error = (2 * 0.065 + 2 * 0.04) / 4
    assert expected_calibration_error(found) == pytest.approx(error)


def test_calibration_error_of_nothing_is_0():
    assert expected_calibration_error(reliability(np.empty(0), np.empty(0, dtype=bool))) == 0


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_temperature_is_found_again(true):
    generator = np.random.default_rng(0)
    logits = generator.normal(scale=2, size=(4000, 5))
    drawn = np.array([generator.choice(5, p=row) for row in softmax(logits / true, axis=1)])
    assert temperature(softmax(logits, axis=1), drawn) == pytest.approx(true, rel=0.1)


def test_temperature_is_a_number_when_a_class_was_impossible():
    found = temperature(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1]))
    assert np.isfinite(found)
    assert found > 1
