"""Standardized embeddings: mean 0, spread 1, the same logits."""

from __future__ import annotations

import numpy as np
import pytest

from backend.acquisition.standardization import Standardization
from backend.vision.linear_head import LinearHead

EMBEDDINGS = np.random.default_rng(0).normal([5, -2, 0, 100], [1, 0.3, 4, 2], (5000, 4))


def test_embeddings_have_mean_0_and_spread_1() -> None:
    standardized = Standardization.of(EMBEDDINGS).embeddings(EMBEDDINGS)
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=1e-3)
    assert standardized.dtype == np.float32


def logits_of(head: LinearHead, embeddings: np.ndarray) -> np.ndarray:
    return embeddings @ head.weight.T + head.bias


def test_logits_stay_when_head_and_embeddings_are_standardized() -> None:
    generator = np.random.default_rng(1)
    head = LinearHead(
        generator.standard_normal((3, 4), np.float32), generator.standard_normal(3, np.float32)
    )
    standardization = Standardization.of(EMBEDDINGS)
    logits = logits_of(standardization.head(head), standardization.embeddings(EMBEDDINGS))
    np.testing.assert_allclose(logits, logits_of(head, EMBEDDINGS), atol=2e-3)


def test_features_that_hardly_vary_are_not_blown_up() -> None:
    embeddings = np.array([[0, 1.0, 7], [0, 1.0, 9]])  # stds 0, 0 and 1, their mean 1/3
    standardization = Standardization.of(embeddings)
    assert standardization.std == pytest.approx([0.05 / 3, 0.05 / 3, 1])
    np.testing.assert_array_equal(standardization.embeddings(embeddings)[:, :2], 0)


def test_one_image_becomes_zero() -> None:
    standardization = Standardization.of(EMBEDDINGS[:1])
    np.testing.assert_array_equal(standardization.std, 1)
    np.testing.assert_array_equal(standardization.embeddings(EMBEDDINGS[:1]), 0)
