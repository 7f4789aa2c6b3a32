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


@dataclass(frozen=True)
class Rule:
    """Which strategy chooses, and how boldly it mixes.

    cold_start: the strategy until a network is trained on labels of two classes.
    epsilon: for strategies that have one.
    """

    strategy: str
    cold_start: str
    epsilon: float

    @classmethod
    def of(cls, settings: Settings) -> Rule:
        """The settings' rule; for another strategy `dataclasses.replace` it.

        SettingsError: the registry has no such strategy.
        """
        _check("ALFAMIX_STRATEGY", settings.strategy)
        _check("ALFAMIX_COLD_START", settings.cold_start)
        return cls(settings.strategy, settings.cold_start, settings.epsilon)

    def choose(
        self,
        pool: Pool,
        budget: int,
        generator: np.random.Generator,
        *,
        supply: int | None = None,
    ) -> Selection:
        """The batch and `supply` rows behind it, None for all. AcquisitionError: see `select`."""
        is_trained = pool.head is not None and has_two_classes(pool.labels)
        strategy = self.strategy if is_trained else self.cold_start
        options = {"epsilon": self.epsilon} if "epsilon" in option_names(strategy) else {}
        return select(strategy, pool, budget, generator, supply=supply, options=options)


def _check(variable: str, strategy: str) -> None:
    if strategy not in strategy_names():
        raise SettingsError(
            f"{variable} is {strategy!r}; needed is one of {', '.join(strategy_names())}"
        )


def standardized_pool(
    embeddings: np.ndarray,
    labeled_embeddings: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    head: LinearWeights | None,
    ids: np.ndarray,
) -> Pool:
    """The pool on standardized embeddings: distances without what all images share.

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
