"""The temperature: by hand, and against a fine search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from backend.vision.heads.calibration import smoothed, temperature


def test_temperature_makes_a_constant_margin_as_likely_as_it_is_right() -> None:
    # 7 of 9 right by a margin of 6; of each target a tenth lies on the other class
    labels = np.array([0] * 7 + [1] * 2)
    logits = np.tile([6.0, 0.0], (9, 1))
    right = (7 * 0.9 + 2 * 0.1) / 9
    assert temperature(logits, labels) == pytest.approx(6 / np.log(right / (1 - right)), rel=1e-3)


def test_temperature_is_finite_when_all_labels_are_right() -> None:
    logits = np.array([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]])
    # three of four parts: log 3 between the classes
    assert temperature(logits, np.array([0, 1, 0])) == pytest.approx(4 / np.log(3), rel=1e-3)


def test_temperature_is_the_best_of_a_fine_search() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, 60)
    logits = 20 * rng.normal(size=(60, 4)) + 25 * np.eye(4)[labels]
    tried = np.geomspace(1, 300, 20_000)
    targets = smoothed(labels, 4)
    losses = [-(targets * log_softmax(logits / value, axis=1)).sum() for value in tried]
    assert temperature(logits, labels) == pytest.approx(tried[np.argmin(losses)], rel=2e-3)


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_temperature_follows_the_size_of_the_logits(factor: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 40)
    logits = rng.normal(size=(40, 3)) + np.eye(3)[labels]
    found = temperature(factor * logits, labels)
    assert found == pytest.approx(factor * temperature(logits, labels), rel=1e-3)


def test_temperature_is_1_when_there_is_nothing_to_calibrate() -> None:
    assert temperature(np.zeros((3, 2)), np.array([0, 1, 1])) == 1
    assert temperature(np.ones((0, 2)), np.empty(0, dtype=int)) == 1


def test_targets_leave_one_part_in_n_plus_1_to_the_other_classes() -> None:
    found = smoothed(np.array([2, 0, 0, 1]), 3)
    np.testing.assert_allclose(found[0], [0.1, 0.1, 0.8])
    np.testing.assert_allclose(found.sum(axis=1), 1)
