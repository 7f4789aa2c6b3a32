"""The classifier on top of the embeddings, as strategies see it: logits for a block of embeddings.

Legend: n rows of a block, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class LinearWeights(Protocol):
    """Any linear head: what of it may be rewritten for other coordinates."""

    @property
    def weight(self) -> np.ndarray:
        """(K, D)."""

    @property
    def bias(self) -> np.ndarray:
        """(K,)."""


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Logits W z + b. Strategies use its weights for exact shortcuts."""

    weight: np.ndarray  # (K, D)
    bias: np.ndarray  # (K,)

    def __call__(self, embeddings: Tensor) -> Tensor:
        """The logits `(n, K)` of embeddings `(n, D)`, in their dtype."""
        weight = torch.as_tensor(self.weight, dtype=embeddings.dtype)
        bias = torch.as_tensor(self.bias, dtype=embeddings.dtype)
        return torch.addmm(bias, embeddings, weight.T)


# Anything else that maps embeddings (n, D) to logits (n, K) differentiably, such as a torch module.
Head = LinearHead | Callable[[Tensor], Tensor]
