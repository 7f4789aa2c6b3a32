"""The curve through few measurements: against known curves, inside and outside its families."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backend.evaluation import LearningCurve, Measurement, gathered

Truth = Callable[[float], float]


def power_law(n: float) -> float:
    return 0.95 - 0.5 * (n / 20) ** -0.6


def exponential(n: float) -> float:
    """Of neither family."""
    return 0.9 - 0.5 * float(np.exp(-n / 150))


def flat(n: float) -> float:
    return 0.7


def simulated(truth: Truth, seed: int, rounds: int = 20, drawn: int = 6) -> LearningCurve:
    """Rounds of 30 labels, of which some were drawn to measure."""
    generator = np.random.default_rng(seed)
    counts = [30 * number for number in range(1, rounds + 1)]
    return LearningCurve(
        [Measurement(n, int(generator.binomial(drawn, truth(n))), drawn) for n in counts]
    )


@pytest.mark.parametrize("truth", [power_law, exponential, flat])
def test_accuracy_lies_in_its_interval_about_as_often_as_it_should(truth):
    found = [simulated(truth, seed).accuracy_at(600) for seed in range(60)]
    assert np.mean([one.low <= truth(600) <= one.high for one in found]) >= 0.75
    assert np.mean([one.high - one.low for one in found]) < 0.2


@pytest.mark.parametrize("truth", [power_law, exponential, flat])
def test_gain_is_seldom_above_its_interval(truth):
    found = [simulated(truth, seed).gain(600, 30) for seed in range(60)]
    gain = truth(630) - truth(600)
    assert np.mean([gain <= one.high + 1e-9 for one in found]) >= 0.9


def test_accuracy_is_the_posterior_mean_of_a_beta_when_one_round_was_measured():
    # At n1 the curve is e1 alone, whose prior is flat: 1 + wrong and 1 + right.
    found = LearningCurve([Measurement(40, 7, 9)]).accuracy_at(40)
    assert found.value == pytest.approx((1 + 7) / (2 + 9), abs=0.005)


def test_gain_is_what_the_accuracies_differ_by():
    curve = simulated(power_law, 0)
    expected = curve.accuracy_at(630).value - curve.accuracy_at(600).value
    assert curve.gain(600, 30).value == pytest.approx(expected, abs=1e-9)
    assert curve.gain(600, 0).high == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("right", [0, 5])
def test_curve_is_finite_when_all_are_right_or_wrong(right):
    curve = LearningCurve([Measurement(10, right, 5), Measurement(20, right, 5)])
    found = [curve.accuracy_at(20), curve.gain(20, 10)]
    for one in found:
        assert np.isfinite([one.value, one.low, one.high]).all()
        assert one.low <= one.value <= one.high
    assert (found[0].value > 0.8) is (right == 5)


def test_interval_is_narrower_when_more_was_measured():
    few, many = (simulated(power_law, 0, drawn=drawn) for drawn in (3, 30))
    widths = [one.high - one.low for one in (few.gain(600, 30), many.gain(600, 30))]
    assert widths[1] < widths[0]


def test_measurements_are_gathered_by_the_number_of_labels():
    found = gathered([Measurement(60, 2, 2), Measurement(30, 1, 2), Measurement(60, 0, 1)])
    assert found == [Measurement(30, 1, 2), Measurement(60, 2, 3)]
    assert gathered([]) == []


def test_curve_says_nothing_of_fewer_labels_than_were_measured():
    curve = LearningCurve([Measurement(n, 30, 40) for n in (200, 300, 400)])
    assert curve.fewest == 200
    found = curve.accuracy_at(200)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for n_labeled in (199, 5, 0):
        with pytest.raises(ValueError, match=f"{n_labeled} labels; the curve begins at 200"):
            curve.accuracy_at(n_labeled)
        with pytest.raises(ValueError, match="begins at 200"):
            curve.gain(n_labeled, 500)
