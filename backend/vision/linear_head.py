"""The linear head as plain arrays: what ALFA-Mix and `/predict` need of a trained network.

Legend: N images, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

HEAD_WEIGHT = "head.weight"
HEAD_BIAS = "head.bias"


@dataclass(frozen=True)
class LinearHead:
    """weight: (K, D) float32. bias: (K,) float32. Rows in the order of the label config."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> LinearHead:
        """The head among the tensors of a checkpoint."""
        return cls(tensors[HEAD_WEIGHT].float().numpy(), tensors[HEAD_BIAS].float().numpy())

    @classmethod
    def of_layer(cls, layer: torch.nn.Linear) -> LinearHead:
        """The head that a linear layer is."""
        weight, bias = (part.detach().float().cpu().numpy() for part in (layer.weight, layer.bias))
        return cls(weight, bias)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The head as a checkpoint holds it."""
        return {
            HEAD_WEIGHT: torch.from_numpy(self.weight),
            HEAD_BIAS: torch.from_numpy(self.bias),
        }

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, K) float32 logits of (N, D) embeddings."""
        return embeddings.astype(np.float32, copy=False) @ self.weight.T + self.bias

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, K) float32 class probabilities of (N, D) embeddings; each row sums to 1."""
        logits = self.logits(embeddings)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)
