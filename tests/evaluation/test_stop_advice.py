"""What an admin is told of more labels."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation import LearningCurve, Measurement, Verdict, advise


def curve_of(rounds: int, drawn: int, accuracy: float, rise: float = 0.0) -> LearningCurve:
    return LearningCurve(
        [
            Measurement(30 * n, round(drawn * min(1.0, accuracy + rise * n)), drawn)
            for n in range(1, rounds + 1)
        ]
    )


def test_nothing_is_advised_when_nothing_was_measured():
    found = advise(None, 100, 30, 0.5)
    assert (found.verdict, found.gain) == (Verdict.UNKNOWN, None)
    assert found.words.startswith("0 labels of tasks drawn at random so far; from 30")


@pytest.mark.parametrize("curve", [curve_of(2, 40, 1.0), curve_of(9, 3, 1.0)])
def test_nothing_is_advised_when_little_was_measured(curve):
    assert advise(curve, 100, 30, 0.5).verdict is Verdict.UNKNOWN


def test_gain_is_told_in_points_and_labels():
    curve = curve_of(6, 20, 0.4, rise=0.07)
    found = advise(curve, 180, 100, 0.5)
    assert found.verdict is Verdict.GO_ON
    gain = curve.gain(180, 100)
    assert found.gain.value == pytest.approx(100 * gain.value)
    low, high = f"{100 * gain.low:.1f}", f"{100 * gain.high:.1f}"
    said = f"100 more labels: +{100 * gain.value:.1f} points"
    assert found.words == f"{said} (90 % interval {low} to {high})."


def test_stop_is_said_when_even_the_upper_end_is_too_little():
    found = advise(curve_of(60, 10, 0.9), 1800, 30, 0.5)
    assert found.verdict is Verdict.STOP
    assert found.gain.high < 0.5
    assert found.words.endswith("That is less than 0.5 points: more labels hardly pay.")


def test_go_on_is_said_when_the_upper_end_is_enough_though_the_mean_is_not():
    curve = curve_of(6, 20, 0.9)
    gain = curve.gain(180, 30)
    between = 100 * (gain.value + gain.high) / 2
    assert advise(curve, 180, 30, between).verdict is Verdict.GO_ON
    assert np.isclose(advise(curve, 180, 30, 100 * gain.high + 0.01).gain.high, 100 * gain.high)
    assert advise(curve, 180, 30, 100 * gain.high + 0.01).verdict is Verdict.STOP


def test_nothing_is_advised_when_labels_were_removed():
    found = advise(curve_of(6, 20, 0.9), 29, 30, 0.5)
    assert (found.verdict, found.gain) == (Verdict.UNKNOWN, None)
    assert found.words.startswith("Labels were removed: 29 are left, and it was measured on 30")


def test_stop_is_said_when_no_task_is_left():
    found = advise(curve_of(6, 20, 0.9), 180, 0, 0.5)
    assert (found.verdict, found.words) == (Verdict.STOP, "No task is left to label.")
