"""Coordinates lose nothing of what was labeled."""

from __future__ import annotations

import numpy as np
import pytest

from backend.vision.heads.coordinates import Coordinates
from tests.vision.heads.blobs import blobs


@pytest.mark.parametrize(("counts", "dimension"), [((4, 3), 30), ((20, 30), 5)])
def test_coordinates_keep_distances_and_their_axes_are_orthogonal(
    counts: tuple[int, ...], dimension: int
) -> None:
    embeddings, _ = blobs(counts, dimension)
    found = Coordinates.of(embeddings)
    assert found.rows.shape[1] == min(sum(counts) - 1, dimension)
    products = found.rows.T @ found.rows
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-8 * products.max())
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(found.rows.shape[1]), atol=1e-10)
    apart = np.linalg.norm(embeddings[0] - embeddings[1])
    assert np.linalg.norm(found.rows[0] - found.rows[1]) * found.scale == pytest.approx(apart)
    assert np.square(found.rows).sum() / embeddings.size == pytest.approx(1)


def test_merged_gives_embeddings_the_logits_of_their_coordinates() -> None:
    embeddings, _ = blobs((4, 3), dimension=30)
    found = Coordinates.of(embeddings)
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(2, found.rows.shape[1])), rng.normal(size=2)
    merged = found.merged(weight, bias)
    np.testing.assert_allclose(embeddings @ merged[0].T + merged[1], found.rows @ weight.T + bias)


def test_coordinates_are_none_when_all_embeddings_are_equal() -> None:
    found = Coordinates.of(np.full((3, 4), 2.0, np.float16))
    assert found.rows.shape == (3, 0)
    weight, bias = found.merged(np.zeros((2, 0)), np.array([1.0, 2.0]))
    assert weight.shape == (2, 4)
    np.testing.assert_array_equal(bias, [1, 2])
