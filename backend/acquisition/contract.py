"""What goes into a strategy and what comes out: arrays in, ranked pool rows out.

Legend of this room: N pool rows, L labeled rows, D embedding, K classes, B budget, B' = min(B, N)
rows of the batch. `pool_row` is a position in `Pool.embeddings`; `ids` are task ids and only settle
ties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from backend.acquisition.heads import Head

Statistics = Mapping[str, float | int | str]  # what a strategy says about its answer, by name


@dataclass(frozen=True, eq=False)
class Pool:
    """The unlabeled rows to choose from, with all that a strategy may know about the labeled ones.

    True labels of pool rows have no place here, so that a benchmark cannot leak them.
    """

    embeddings: np.ndarray  # (N, D) floating, finite; may be an np.memmap: it is read in blocks
    labeled_embeddings: np.ndarray  # (L, D) floating, finite
    labels: np.ndarray  # (L,) int64 class indices in [0, K)
    num_classes: int  # K, from the label config, never from the labels seen
    head: Head | None  # embeddings (n, D) -> logits (n, K); None when nothing is trained yet
    ids: np.ndarray  # (N,) int64 task ids, unique


def has_two_classes(labels: np.ndarray) -> bool:
    """Whether `(L,)` labels name two classes: with fewer there is nothing to tell apart."""
    return len(np.unique(labels)) >= 2


@dataclass(frozen=True, eq=False)
class Mixing:
    """What mixing each pool row with the anchors did to the class that the head predicts for it.

    A head that is not linear, or a learned alpha, is tried at one cap on epsilon after another: a
    critical epsilon is then the first cap that flips the row, and inf says that none tried did.
    """

    critical_epsilons: np.ndarray  # (N,) a larger epsilon flips the prediction; inf: none does
    is_candidate: np.ndarray  # (N,) bool: flips within the final epsilon
    flips_to: np.ndarray  # (N,) int64 class predicted then; where none flips, the one predicted now


@dataclass(frozen=True, eq=False)
class Selection:
    """A ranking of the pool: the batch first, then what keeps annotators supplied after it."""

    rows: np.ndarray  # (M,) int64 unique pool rows in rank order, B' <= M <= N
    clusters: np.ndarray  # (M,) int64 in [0, B'): row i of the batch is i, others the nearest's
    batch_size: int  # B': rows[:batch_size] is the batch
    statistics: Statistics  # strategy, n_candidates, epsilon used, ...
    mixing: Mixing | None  # None where the strategy does not mix


@dataclass(frozen=True, eq=False)
class Picks:
    """What one strategy answers; `select` ranks the other rows behind it."""

    rows: np.ndarray  # (B',) int64 pool rows in rank order
    centers: np.ndarray | None = None  # (B', D) on the unit sphere; None: the rows' own embeddings
    eligible: np.ndarray | None = None  # (C,) pool rows that come before all others, ascending
    order: np.ndarray | None = None  # (N,) by which the others follow, smallest first
    mixing: Mixing | None = None
    statistics: Statistics = field(default_factory=dict)

    def with_statistics(self, **more: float | int | str) -> Picks:
        """The same picks with more said about them."""
        return replace(self, statistics={**self.statistics, **more})
