"""Pairwise squared distances in blocks: the one place that expands |x - c|^2.

Shapes: n points, m centers, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.blocks import blocks, compute_dtype


@dataclass(frozen=True, eq=False)
class Nearest:
    """For every point the nearest center."""

    center: np.ndarray  # (n,) int64
    squared_distance: np.ndarray  # (n,)


def squared_distances(points: Tensor, centers: Tensor) -> Tensor:
    """Return `(n, m)` squared Euclidean distances, never negative."""
    squares = points.square().sum(1, keepdim=True)
    products = torch.addmm(centers.square().sum(1), points, centers.T, alpha=-2)
    return products.add_(squares).clamp_(min=0)


def nearest_centers(points: np.ndarray, centers: np.ndarray) -> Nearest:
    """Return the nearest of `centers (m, D)` to each of `points (n, D)`; on a tie the first."""
    target = torch.as_tensor(centers, dtype=compute_dtype(points))
    center = np.empty(len(points), dtype=np.int64)
    squared = np.empty(len(points), dtype=points.dtype)
    for positions, block in blocks(points):
        least = squared_distances(block, target).min(dim=1)
        center[positions] = least.indices.numpy()
        squared[positions] = least.values.numpy()
    return Nearest(center, squared)
