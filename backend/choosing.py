"""How a round chooses, on arrays alone: what a live round and a replayed one have in common.

Legend: N pool images, L labeled images, D embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend import acquisition, vision
from backend.acquisition import Pool, Selection, option_names, select
from backend.vision import Standardization


@dataclass(frozen=True)
class Rule:
    """cold_start: the strategy until a network is trained on labels of two classes."""

    strategy: str
    cold_start: str
    epsilon: float

    def choose(
        self, pool: Pool, budget: int, generator: np.random.Generator, reserve: int = 0
    ) -> Selection:
        """Return the batch and its reserve. AcquisitionError: see `select`."""
        strategy = self.strategy if _has_two_classes(pool) else self.cold_start
        options = {"epsilon": self.epsilon} if "epsilon" in option_names(strategy) else {}
        return select(strategy, pool, budget, generator, reserve=reserve, options=options)


def standardized_pool(
    embeddings: np.ndarray,
    labeled_embeddings: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    head: vision.LinearHead | None,
    ids: np.ndarray,
) -> Pool:
    """Return the pool on standardized embeddings: distances without what all images share.

    Args:
        embeddings, labeled_embeddings: (N, D) and (L, D) float32, as the network gives them.
        labels: (L,) int64 classes in [0, K).
        head: on such embeddings; None before anything was trained.
        ids: (N,) int64 task ids.
    """
    standard = Standardization.of(np.concatenate([embeddings, labeled_embeddings]))
    head = None if head is None else standard.head(head)
    return Pool(
        embeddings=standard.embeddings(embeddings),
        labeled_embeddings=standard.embeddings(labeled_embeddings),
        labels=labels,
        num_classes=num_classes,
        head=None if head is None else acquisition.LinearHead(head.weight, head.bias),
        ids=ids,
    )


def _has_two_classes(pool: Pool) -> bool:
    return pool.head is not None and len(np.unique(pool.labels)) > 1
