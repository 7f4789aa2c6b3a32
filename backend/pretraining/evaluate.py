"""How good features are without fine-tuning: k-NN and a linear classifier on a few labels.

N images, C channels (1 or 3), D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional

NEIGHBORS = 20
BATCH = 500


def normalized(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(B, 3, H, W) float32 network input of (B, C, H, W) pixels in 0..1; gray is repeated."""
    mean_, std_ = (torch.tensor(v, device=pixels.device).view(1, 3, 1, 1) for v in (mean, std))
    return (pixels - mean_) / std_


@torch.no_grad()
def features(
    backbone: nn.Module, pixels: Tensor, mean: Sequence[float], std: Sequence[float], image_px: int
) -> np.ndarray:
    """(N, D) float32 features of (N, C, H, W) uint8 images, resized to `image_px` if need be.

    The backbone has to be in evaluation mode.
    """
    device = next(backbone.parameters()).device
    rows = []
    for batch in pixels.split(BATCH):
        images = normalized(resized(batch.to(device).float() / 255, image_px), mean, std)
        rows.append(backbone(images).float().cpu())
    return torch.cat(rows).numpy()


def resized(images: Tensor, image_px: int) -> Tensor:
    """(B, C, H, W) float images at `image_px` x `image_px`."""
    if images.shape[-2:] == (image_px, image_px):
        return images
    return functional.interpolate(images, (image_px, image_px), mode="bilinear", antialias=True)


def knn_accuracy(
    references: np.ndarray, reference_labels: np.ndarray, queries: np.ndarray, labels: np.ndarray
) -> float:
    """Share of `queries` that the majority of their 20 nearest references (cosine) names right."""
    count = min(NEIGHBORS, len(references))
    classifier = KNeighborsClassifier(count, metric="cosine", algorithm="brute")
    return float(classifier.fit(references, reference_labels).score(queries, labels))


def linear_accuracy(
    rows: np.ndarray, row_labels: np.ndarray, queries: np.ndarray, labels: np.ndarray
) -> float:
    """Share of `queries` that a logistic regression on `rows` names right.

    Both are centered and divided by one number, the rows' overall standard deviation: a scale per
    feature would blow up the last components of a PCA.
    """
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.sqrt(np.mean(deviation**2)) or 1.0
    classifier = LogisticRegression(max_iter=2000).fit((rows - mean) / scale, row_labels)
    return float(classifier.score((queries - mean) / scale, labels))
