"""What goes into a strategy and what comes out: arrays in, ranked pool rows out.

Shape legend of this room: N pool rows, L labeled rows, D embedding, K classes, B budget, R reserve.
`pool_row` is a position in `Pool.embeddings`; `ids` are task ids and only settle ties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from backend.acquisition.heads import Head


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
    """Return whether `(L,)` labels name two classes: with fewer there is nothing to tell apart."""
    return len(np.unique(labels)) >= 2


@dataclass(frozen=True, eq=False)
class Selection:
    """A ranked batch and the reserve that keeps annotators busy while the next round trains."""

    rows: np.ndarray  # (B',) int64 unique pool rows in rank order, B' = min(B, N)
    clusters: np.ndarray  # (B',) int64 in [0, B'): each row of the batch is a cluster of its own
    reserve_rows: np.ndarray  # (R',) int64, disjoint from rows, R' = min(R, N - B')
    reserve_clusters: np.ndarray  # (R',) int64: the cluster whose center each reserve row is near
    statistics: Mapping[str, float | int | str]  # strategy, n_candidates, epsilon used, ...
    informativeness: np.ndarray | None  # (N,) of the strategy's own measure, where it has one


@dataclass(frozen=True, eq=False)
class Picks:
    """What one strategy answers; `select` turns it into a `Selection`."""

    rows: np.ndarray  # (B',) int64 pool rows in rank order
    centers: np.ndarray | None = None  # (B', D) on the unit sphere; None: the rows' own embeddings
    eligible: np.ndarray | None = None  # pool rows the reserve may come from first; None: any
    order: np.ndarray | None = None  # (N,) what fills the reserve after these, smallest first
    informativeness: np.ndarray | None = None
    statistics: Mapping[str, float | int | str] = field(default_factory=dict)

    def with_statistics(
        self, *, informativeness: np.ndarray | None = None, **more: float | int | str
    ) -> Picks:
        """Return the same picks with more said about them."""
        if informativeness is None:
            informativeness = self.informativeness
        statistics = {**self.statistics, **more}
        return replace(self, statistics=statistics, informativeness=informativeness)
