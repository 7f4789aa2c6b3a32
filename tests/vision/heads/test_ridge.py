"""Ridge regression against scikit-learn's, and its closed form against leaving every label out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from backend.vision.heads.ridge import STRENGTHS, ridges
from tests.vision.heads.blobs import labeled, left_out, on_rows

RNG = np.random.default_rng(0)
SHAPES = [((5, 4, 3), 4), ((3, 2, 2), 30), ((4, 1, 2), 6), ((2, 2), 1)]


@pytest.mark.parametrize(("counts", "dimension"), SHAPES)
def test_ridges_and_their_held_out_logits_are_scikit_learns(
    counts: tuple[int, ...], dimension: int
) -> None:
    data = labeled(counts, dimension)
    unit = np.square(data.rows).sum() / data.rows.shape[1]
    found = list(ridges(data, RNG))
    assert tuple(one.strength for one in found) == STRENGTHS
    for one in found:

        def fit(rows: np.ndarray, labels: np.ndarray, strength: float = one.strength):
            other = Ridge(alpha=strength * unit).fit(rows, np.eye(len(counts))[labels])
            return other.coef_, other.intercept_

        weight, bias = fit(data.rows, data.labels)
        np.testing.assert_allclose(one.weight, weight, atol=1e-8)
        np.testing.assert_allclose(on_rows(one, data), data.rows @ weight.T + bias, atol=1e-8)
        np.testing.assert_allclose(one.held_out, left_out(data, fit), atol=1e-6)
