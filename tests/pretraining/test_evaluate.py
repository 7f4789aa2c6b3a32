from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.pretraining.evaluate import (
    features,
    knn_accuracy,
    normalized,
    resized,
)


def test_knn_accuracy_is_that_of_an_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    references, queries = rng.normal(size=(60, 5)), rng.normal(size=(15, 5))
    reference_labels, labels = rng.integers(0, 3, 60), rng.integers(0, 3, 15)
    right = 0
    for query, label in zip(queries, labels, strict=True):
        lengths = np.linalg.norm(references, axis=1) * np.linalg.norm(query)
        nearest = np.argsort(-(references @ query) / lengths)[:20]
        right += np.bincount(reference_labels[nearest]).argmax() == label

    assert knn_accuracy(references, reference_labels, queries, labels) == pytest.approx(right / 15)


def test_knn_accuracy_asks_all_references_when_they_are_few() -> None:
    references, labels = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), np.array([4, 4, 7])

    assert knn_accuracy(references, labels, references, labels) == pytest.approx(2 / 3)


def test_features_are_the_backbones_of_normalized_images_at_the_asked_size() -> None:
    pixels = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16, 2)).eval()
    blocks = pixels[:, 0].float().view(3, 4, 2, 4, 2).mean(dim=(2, 4))
    unit = resized(pixels.float() / 255, 4)
    colors = torch.cat([(unit - 0.1) / 0.5, (unit - 0.2) / 0.6, (unit - 0.3) / 0.7], dim=1)

    found = features(backbone, pixels, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), image_px=4)

    assert np.allclose(found, backbone(colors).detach().numpy(), atol=1e-5)
    # antialiased halving is near the mean of 2 x 2 pixels, far from every second pixel
    assert (unit[:, 0] * 255 - blocks).abs().mean() < 30


def test_normalized_repeats_gray_when_there_is_one_channel() -> None:
    images = normalized(torch.full((1, 1, 2, 2), 0.5), (0.5, 0.4, 0.3), (0.1, 0.1, 0.2))

    assert images[0, :, 0, 0].tolist() == pytest.approx([0.0, 1.0, 1.0])
