"""LDA against scikit-learn's, and its closed form against leaving every label out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from backend.vision.heads import lda
from backend.vision.heads.candidate import Labeled
from backend.vision.heads.lda import STRENGTHS, discriminants
from tests.vision.heads.blobs import differences, labeled, left_out, on_rows

RNG = np.random.default_rng(0)


class FixedRidge:
    """scikit-learn's covariance_estimator: a class's covariance and a ridge."""

    def __init__(self, ridge: float) -> None:
        self.ridge = ridge

    def fit(self, rows: np.ndarray) -> FixedRidge:
        self.covariance_ = np.cov(rows.T, bias=True) + self.ridge * np.eye(rows.shape[1])
        return self


def scatter_of(data: Labeled) -> np.ndarray:
    residuals = data.rows - data.means[data.labels]
    return residuals.T @ residuals


def test_discriminants_are_scikit_learns_when_means_count_as_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lda, "NOISE_TAKEN_OUT", 0.0)
    data = labeled((6, 6, 6), dimension=5)
    for found in discriminants(data, RNG):
        ridge = found.strength * np.trace(scatter_of(data)) / 5
        other = LinearDiscriminantAnalysis(
            solver="lsqr", priors=[1 / 3] * 3, covariance_estimator=FixedRidge(ridge / 18)
        ).fit(data.rows, data.labels)
        # it divides the scatter by 18 labels, not by 15 degrees of freedom
        np.testing.assert_allclose(
            differences(on_rows(found, data)),
            15 / 18 * differences(other.decision_function(data.rows)),
            rtol=1e-6,
        )


@pytest.mark.parametrize(
    ("counts", "dimension"),
    [((5, 4, 3), 4), ((3, 2, 2), 30), ((4, 1, 2), 6), ((2, 2), 1), ((9, 2, 1, 1), 20)],
)
def test_held_out_logits_are_those_of_fits_without_the_label(
    counts: tuple[int, ...], dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lda, "NOISE_TAKEN_OUT", 0.0)
    data = labeled(counts, dimension)
    degrees = len(data.labels) - len(counts)
    rank = min(degrees, data.rows.shape[1])
    unit = np.trace(scatter_of(data)) / rank
    found = list(discriminants(data, RNG))
    assert tuple(one.strength for one in found) == STRENGTHS
    for one in found:

        def fit(rows: np.ndarray, labels: np.ndarray, strength: float = one.strength):
            without = Labeled(rows, labels)
            metric = scatter_of(without) + strength * unit * np.eye(rows.shape[1])
            weight = degrees * np.linalg.solve(metric, without.means.T).T
            return weight, -0.5 * (weight * without.means).sum(axis=1)

        expected = differences(left_out(data, fit))
        np.testing.assert_allclose(differences(one.held_out), expected, rtol=1e-5, atol=1e-5)


def test_half_of_a_means_noise_is_taken_from_its_distance() -> None:
    # one feature, two labels of a class and one of another, about their common mean of 1
    data = Labeled(np.array([[-2.0], [0.0], [2.0]]), np.array([0, 0, 1]))
    found = next(one for one in discriminants(data, RNG) if one.strength == 1.0)
    # Means -1 and 2; degrees 1, scatter 2, ridge 2: metric 1 / 4. Left out, -2 is 2 from 0, the
    # mean that is left, in the metric without its residual, 1 / 2: a squared distance of 2, twice
    # the spread of 1.
    noise = 0.5 * 1.0
    np.testing.assert_allclose(found.weight, [[-0.25], [0.5]])
    np.testing.assert_allclose(found.bias, [-0.5 * (1 / 4 - noise / 2), -0.5 * (1 - noise / 1)])
    # distances from -2 to 0 and 2: 4 and 16, by 1 / 2; noise of means of one label each
    np.testing.assert_allclose(
        differences(found.held_out)[0],
        differences(-0.5 * np.array([[2 - noise, 8 - noise]]))[0],
    )


def test_discriminants_tell_classes_apart_when_no_image_differs_from_its_class() -> None:
    data = Labeled(np.array([[-1.0, 0], [-1, 0], [1, 0], [1, 0]]), np.array([0, 0, 1, 1]))
    for found in discriminants(data, RNG):
        assert np.isfinite(found.held_out).all()
        assert (on_rows(found, data).argmax(axis=1) == data.labels).all()
        assert (found.held_out.argmax(axis=1) == data.labels).all()
