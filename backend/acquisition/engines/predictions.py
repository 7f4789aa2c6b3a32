"""What the head predicts for pool rows.

Legend: N pool rows, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.contract import Pool
from backend.acquisition.engines.blocks import map_rows
from backend.acquisition.heads import Head
from backend.errors import AcquisitionError


def trained_head(pool: Pool, strategy: str) -> Head:
    """The pool's head.

    Raises:
        AcquisitionError: nothing is trained yet, or there is only one class to predict.
    """
    if pool.head is None:
        raise AcquisitionError(f"{strategy} needs a trained head; the pool has none")
    if pool.num_classes < 2:
        raise AcquisitionError(f"{strategy} needs at least two classes; found {pool.num_classes}")
    return pool.head


@torch.no_grad()
def log_probabilities(head: Head, embeddings: np.ndarray) -> np.ndarray:
    """`(N, K)` log-softmax of the head's logits."""
    return map_rows(embeddings, lambda block: head(block).log_softmax(1))


@torch.no_grad()
def score_predictions(
    head: Head, embeddings: np.ndarray, score: Callable[[Tensor], Tensor]
) -> np.ndarray:
    """`(N,)`, `score` of each block's log-probabilities `(n, K)`."""
    return map_rows(embeddings, lambda block: score(head(block).log_softmax(1)))


def margins(log_probabilities: Tensor) -> Tensor:
    """`(n,)` probability of the likeliest class minus that of the second."""
    top = log_probabilities.topk(2, dim=1).values.exp()
    return top[:, 0] - top[:, 1]
