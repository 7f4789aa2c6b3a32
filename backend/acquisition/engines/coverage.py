"""Lazy greedy maximization of a weighted coverage: the engine of the herding and covering methods.

    coverage(S) = sum_i u_i max over j in S of k(x_i, x_j)

is monotone and submodular for any similarity k >= 0, so a gain computed earlier is an upper bound
now (Minoux, 1978): only rows whose bound is on top are computed again, in growing batches. The
picks are those of the plain greedy loop.

In many dimensions all rows are about equally similar, and the first picks lower nearly every bound:
gains are computed about ten times each. Similarities are therefore kept where they fit.

Legend: n rows of the space, N of them in the pool, M of those considered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.engines.distances import Rows, Space, row_blocks

# squared distances -> similarities in [0, 1], may overwrite
Similarity = Callable[[Tensor], Tensor]
REFRESHED_AT_ONCE = 32  # bounds computed again; then twice as many, while the best is not settled
BLOCK_ROWS = 512  # blocks of (512, N) similarities
KEPT_BYTES = 1_600_000_000  # similarities are kept up to this: 20,000 rows in float32


def rbf(sigma: float) -> Similarity:
    """k(x, y) = exp(-|x - y|^2 / sigma^2)."""
    return lambda squared: squared.mul_(-1 / sigma**2).exp_()


def top_hat(radius: float) -> Similarity:
    """k(x, y) = 1 within `radius`, else 0."""
    return lambda squared: (squared <= radius**2).to(squared.dtype)


@dataclass(frozen=True, eq=False)
class Coverage:
    """The rows to cover and how much each of them is worth."""

    space: Space
    similarity: Similarity
    weights: Tensor  # (N,) worth of covering each of the first N rows
    ids: np.ndarray  # (N,) settle ties

    def greedy(self, covered: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
        """`(rows, gains)`, both `(budget,)`: what adds most coverage, one row after another.

        Rows of the space in `covered` count from the start. Once everything is covered, rows with
        no gain follow by id.
        """
        level = self._initial_level(covered)
        bounds = self._all_gains(level)
        rows: list[int] = []
        gains: list[float] = []
        while len(rows) < budget:
            best = self._best(bounds, level)
            rows.append(best)
            gains.append(float(bounds[best]))
            torch.maximum(level, self._similarities(torch.tensor([best]))[0], out=level)
            bounds[best] = -1
        return np.array(rows), np.array(gains)

    def _best(self, bounds: Tensor, level: Tensor) -> int:
        """The row with the largest true gain, lowering `bounds` as far as that needs."""
        count = REFRESHED_AT_ONCE
        while True:
            top = bounds.topk(min(count, len(bounds))).indices
            count = min(2 * count, BLOCK_ROWS)
            top = top[bounds[top] >= 0]
            bounds[top] = torch.minimum(bounds[top], self._gains(top, level))
            best = bounds.max()
            fresh = top[bounds[top] == best].tolist()
            if best <= 0:
                left = (bounds >= 0).nonzero()[:, 0].tolist()
                return min(left, key=self.ids.__getitem__)
            if fresh:
                return min(fresh, key=self.ids.__getitem__)

    @cached_property
    def _kept(self) -> Tensor | None:
        """`(N, N)` similarities within the pool; None where they are too large to keep."""
        count = len(self.weights)
        if count**2 * self.weights.itemsize > KEPT_BYTES:
            return None
        kept = self.weights.new_empty(count, count)
        for rows in row_blocks(count, BLOCK_ROWS):
            kept[rows] = self._computed(rows)
        return kept

    def _computed(self, rows: Rows) -> Tensor:
        """`(r, N)` similarities of rows of the space to all of the pool."""
        return self.similarity(self.space.squared_distances(rows, slice(len(self.weights))))

    def _similarities(self, rows: Rows) -> Tensor:
        """`(r, N)` of pool rows to all of the pool; may be a view of what is kept."""
        return self._computed(rows) if self._kept is None else self._kept[rows]

    def _gains(self, rows: Rows, level: Tensor) -> Tensor:
        return (self._similarities(rows) - level).clamp_(min=0) @ self.weights

    def _all_gains(self, level: Tensor) -> Tensor:
        return torch.cat([self._gains(s, level) for s in row_blocks(len(level), BLOCK_ROWS)])

    def _initial_level(self, covered: np.ndarray) -> Tensor:
        level = torch.zeros_like(self.weights)
        for part in row_blocks(len(covered), BLOCK_ROWS):
            rows = torch.as_tensor(covered[part])
            torch.maximum(level, self._computed(rows).amax(0), out=level)
        return level
