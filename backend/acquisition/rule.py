"""How a round chooses, on arrays alone: what a live round and a replayed one have in common.

Legend: N pool images, L labeled images, D embedding, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.acquisition.contract import Pool, Selection, has_two_classes
from backend.acquisition.heads import LinearWeights
from backend.acquisition.registry import option_names, select, strategy_names
from backend.acquisition.standardization import Standardization
from backend.errors import SettingsError
from backend.settings import Settings

LABELS_A_CLASS = 10


@dataclass(frozen=True)
class Rule:
    """cold_start: the strategy until a network is trained on labels of two classes."""

    strategy: str
    cold_start: str
    epsilon: float

    @classmethod
    def of(cls, settings: Settings) -> Rule:
        """Return the settings' rule. SettingsError: the strategy is not in the registry."""
        if settings.strategy not in strategy_names():
            raise SettingsError(
                f"ALFAMIX_STRATEGY is {settings.strategy!r}; needed is one of "
                f"{', '.join(strategy_names())}"
            )
        return cls(settings.strategy, settings.cold_start, settings.epsilon)

    def choose(
        self, pool: Pool, budget: int, generator: np.random.Generator, reserve: int = 0
    ) -> Selection:
        """Return the batch and its reserve. AcquisitionError: see `select`."""
        is_trained = pool.head is not None and has_two_classes(pool.labels)
        strategy = self.strategy if is_trained else self.cold_start
        options = {"epsilon": self.epsilon} if "epsilon" in option_names(strategy) else {}
        return select(strategy, pool, budget, generator, reserve=reserve, options=options)


def budget_of(settings: Settings, num_classes: int) -> int:
    """Return the labels a round: ALFAMIX_BUDGET, else 10 a class, the paper's small budget."""
    return settings.budget or LABELS_A_CLASS * num_classes


def standardized_pool(
    embeddings: np.ndarray,
    labeled_embeddings: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    head: LinearWeights | None,
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
    return Pool(
        embeddings=standard.embeddings(embeddings),
        labeled_embeddings=standard.embeddings(labeled_embeddings),
        labels=labels,
        num_classes=num_classes,
        head=None if head is None else standard.head(head),
        ids=ids,
    )
