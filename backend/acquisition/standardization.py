"""Embeddings with mean 0 and standard deviation 1 in every feature, and the head that goes with it.

A ViT's CLS tokens share a large common part: after the final norm the mean of a feature is about
twice its spread. Distances and norms are then mostly about what all images have in common.
Standardized embeddings cluster better. Nothing else changes: the head is rewritten so that every
logit stays what it was.

Legend: N images, D embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.acquisition.heads import LinearHead, LinearWeights

SMALLEST_SHARE = 0.05
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Standardization:
    """mean: (D,) float32. std: (D,) float32, positive."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Standardization:
        """The mean and spread of (N, D) embeddings, N >= 1.

        A feature that hardly varies is not blown up: its std counts as a twentieth of the mean std
        (and as 1 when no feature varies at all).
        """
        mean = embeddings.mean(axis=0, dtype=np.float64)
        squares = np.zeros_like(mean)
        for start in range(0, len(embeddings), BLOCK_ROWS):
            squares += np.square(embeddings[start : start + BLOCK_ROWS] - mean).sum(axis=0)
        std = np.sqrt(squares / len(embeddings))
        smallest = SMALLEST_SHARE * std.mean() or 1.0
        return cls(mean.astype(np.float32), np.maximum(std, smallest).astype(np.float32))

    def embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, D) float32 standardized copies of (N, D) embeddings."""
        return (embeddings.astype(np.float32) - self.mean) / self.std

    def head(self, head: LinearWeights) -> LinearHead:
        """The head whose logits on standardized embeddings are those of `head` on the others."""
        return LinearHead(head.weight * self.std, head.bias + head.weight @ self.mean)
