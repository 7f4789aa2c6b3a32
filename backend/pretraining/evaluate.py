"""How good features are without fine-tuning: k-NN accuracy.

Legend: N images, C channels (1 or 3), D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
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
