"""Class means by angle, by hand and against leaving every label out."""

from __future__ import annotations

import numpy as np

from backend.vision.heads.candidate import Labeled
from backend.vision.heads.class_means import class_means
from tests.vision.heads.blobs import labeled, left_out

RNG = np.random.default_rng(0)


def test_weights_are_unit_vectors_between_the_directions_of_a_class() -> None:
    data = Labeled(np.array([[3.0, 0], [0, 0.1], [-2, 0], [-4, 0]]), np.array([0, 0, 1, 1]))
    (found,) = class_means(data, RNG)
    np.testing.assert_allclose(found.weight, [[0.5**0.5, 0.5**0.5], [-1, 0]])
    np.testing.assert_array_equal(found.bias, [0, 0])


def test_held_out_logits_are_those_of_fits_without_the_label() -> None:
    data = labeled((5, 1, 3), dimension=7)

    def fit(rows: np.ndarray, labels: np.ndarray):
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        sums = np.stack([units[labels == label].sum(axis=0) for label in range(3)])
        return sums / np.linalg.norm(sums, axis=1, keepdims=True), np.zeros(3)

    (found,) = class_means(data, RNG)
    np.testing.assert_allclose(found.held_out, left_out(data, fit))


def test_a_class_whose_directions_cancel_has_no_weight() -> None:
    data = Labeled(np.array([[1.0], [-1], [0]]), np.array([0, 0, 1]))
    (found,) = class_means(data, RNG)
    np.testing.assert_array_equal(found.weight, np.zeros((2, 1)))
