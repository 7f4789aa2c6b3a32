"""Squared distances between rows in blocks: Euclidean, between gradients, between predictions.

Every greedy or sampling method of this room asks a `Space` for distances between some rows and a
few centers, as matrix products; none ever holds an (n, n) matrix.

Legend: n rows of a space, m centers, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.engines.blocks import BLOCK_ROWS, compute_dtype, map_rows_to_pairs

Rows = Tensor | slice  # positions in a space; a slice is read in place, a tensor's rows are copied


class Space(Protocol):
    """Rows with a squared distance between any two of them."""

    def __len__(self) -> int: ...

    def squared_distances(self, rows: Rows, centers: Rows) -> Tensor:
        """`(n, m)`, not negative, between `rows` and the m rows `centers`."""

    def take(self, rows: Tensor) -> Space:
        """The space of these rows alone, renumbered from 0."""


class ProductSpace:
    """Rows that are outer products of factors, never multiplied out.

    For g_i = a_i (x) x_i: <g_i, g_j> = <a_i, a_j> <x_i, x_j>, so distances come from the factors'
    Gram matrices. One factor is the plain Euclidean space.
    """

    def __init__(self, factors: Sequence[Tensor]) -> None:
        self._factors = factors
        self.squares: Tensor = reduce(torch.mul, (f.square().sum(1) for f in factors))
        self._noise = 8 * torch.finfo(self.squares.dtype).eps

    @classmethod
    def euclidean(cls, *arrays: np.ndarray) -> ProductSpace:
        """The space of the rows of all arrays, one after another, about their mean."""
        dtype = torch.float64 if any(a.dtype == np.float64 for a in arrays) else torch.float32
        points = torch.cat([torch.tensor(np.asarray(a), dtype=dtype) for a in arrays])
        return cls([points.sub_(points.mean(0))])

    def __len__(self) -> int:
        return len(self.squares)

    def squared_distances(self, rows: Rows, centers: Rows) -> Tensor:
        inner: Tensor = reduce(torch.mul, (f[rows] @ f[centers].T for f in self._factors))
        squares = self.squares[rows, None] + self.squares[centers]
        squared = torch.sub(squares, inner, alpha=2, out=inner)
        # Below this a distance is rounding: copies of a row are at distance 0, exactly.
        return squared.masked_fill_(squared <= squares.mul_(self._noise), 0)

    def take(self, rows: Tensor) -> ProductSpace:
        return ProductSpace([f[rows] for f in self._factors])


class PredictionSpace:
    """Rows are predictions; the squared distance is the symmetric Kullback-Leibler divergence.

    (KL(p, q) + KL(q, p)) / 2 = (sum (p - q)(log p - log q)) / 2, as one matrix product.
    """

    def __init__(self, log_probabilities: Tensor) -> None:
        self._log = log_probabilities
        self._probabilities = log_probabilities.exp()
        self._negative_entropy = (self._log * self._probabilities).sum(1)

    def __len__(self) -> int:
        return len(self._log)

    def squared_distances(self, rows: Rows, centers: Rows) -> Tensor:
        left = torch.cat([self._probabilities[rows], self._log[rows]], dim=1)
        right = torch.cat([self._log[centers], self._probabilities[centers]], dim=1)
        entropies = self._negative_entropy[rows, None] + self._negative_entropy[centers]
        return (entropies - left @ right.T).div_(2).clamp_(0)

    def take(self, rows: Tensor) -> PredictionSpace:
        return PredictionSpace(self._log[rows])


def row_blocks(count: int, block_rows: int = BLOCK_ROWS) -> list[slice]:
    """Slices that cover `range(count)`."""
    return [slice(s, min(s + block_rows, count)) for s in range(0, count, block_rows)]


def lower_to_nearest(space: Space, nearest: Tensor, centers: Tensor) -> None:
    """Lower `nearest (n,)` in place to the squared distance to the nearest of `centers (m,)`.

    `nearest` speaks of the first n rows of the space.
    """
    if len(centers) == 0:
        return
    for rows in row_blocks(len(nearest)):
        least = space.squared_distances(rows, centers).amin(1)
        torch.minimum(nearest[rows], least, out=nearest[rows])


@dataclass(frozen=True, eq=False)
class Nearest:
    """For every point the nearest center."""

    center: np.ndarray  # (n,) int64
    squared_distance: np.ndarray  # (n,)


def squared_distances(points: Tensor, centers: Tensor) -> Tensor:
    """`(n, m)` squared Euclidean distances between two sets, never negative."""
    squares = points.square().sum(1, keepdim=True)
    products = torch.addmm(centers.square().sum(1), points, centers.T, alpha=-2)
    return products.add_(squares).clamp_(min=0)


def nearest_centers(
    points: np.ndarray,
    centers: np.ndarray,
    rows: np.ndarray | None = None,
    *,
    on_sphere: bool = False,
) -> Nearest:
    """The nearest of `centers (m, D)` to each of `points (n, D)`, or of their `rows`.

    On a tie the first. on_sphere: points are scaled to length 1 before.
    """
    target = torch.as_tensor(centers, dtype=compute_dtype(points))

    def nearest(block: Tensor) -> tuple[Tensor, Tensor]:
        block = torch.nn.functional.normalize(block) if on_sphere else block
        squared, center = squared_distances(block, target).min(dim=1)
        return center, squared

    return Nearest(*map_rows_to_pairs(points, nearest, rows))
