"""gcnal: core-set on features of a graph network that tells labeled from unlabeled (CoreGCN).

Idea. Connect all rows by their cosine similarity and train a two-layer graph convolution to tell
labeled rows from unlabeled ones. Its hidden features mix each row with its neighbors; greedy
k-center on them labels rows that differ most from the labeled set.
Source. Caramalau, Bhattarai and Kim, "Sequential Graph Convolutional Network for Active Learning",
CVPR 2021, Eqs. 2 to 5 and Section 3.3 (CoreGCN); settings of Section 4.
Cost. `epochs` M D H with M = min(N, `considered`) + L, H = 128 hidden units: the similarity matrix
is the product of the embeddings with themselves and is never built. Needs. Labeled rows.
Deviations. Column sums of the similarities below 1, which signed embeddings can have, count as 1.
Losses are computed from logits. Rows outside the sample are never picked, as in the authors' code.

Legend: M graph rows, D embedding, H hidden units.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.distances import ProductSpace
from backend.acquisition.engines.k_center import k_center
from backend.errors import AcquisitionError

HIDDEN_UNITS = 128
DROPOUT = 0.3
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 5e-4
UNLABELED_WEIGHT = 1.2  # lambda of Eq. 4


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    epochs: int = 200,
    considered: int = 10_000,
) -> Picks:
    """K-center picks on the trained hidden features of a sample of `considered` rows."""
    if epochs < 0:
        raise AcquisitionError(f"epochs must be at least 0; found {epochs}")
    if len(pool.labels) == 0:
        raise AcquisitionError("gcnal needs labeled rows; found none")
    size = min(len(pool.ids), max(considered, budget))
    rows = np.sort(generator.choice(len(pool.ids), size=size, replace=False))
    nodes = np.concatenate([unit_rows(pool.embeddings, rows), unit_rows(pool.labeled_embeddings)])
    features = hidden_features(torch.from_numpy(nodes), size, epochs, generator)
    space = ProductSpace.euclidean(features.numpy())
    picked = k_center(space, np.arange(size, len(nodes)), budget, pool.ids[rows])
    return Picks(rows=rows[picked], statistics={"n_considered": size})


class Adjacency:
    """(S - I) / column sums + I for S = X X^T, applied without being built."""

    def __init__(self, nodes: Tensor) -> None:
        self._nodes = nodes
        sums = nodes @ nodes.sum(0) - 1
        self._inverse_sums = 1 / sums.clamp(min=1)[:, None]

    def __matmul__(self, values: Tensor) -> Tensor:
        scaled = values * self._inverse_sums
        return self._nodes @ (self._nodes.T @ scaled) - scaled + values


def hidden_features(
    nodes: Tensor, unlabeled: int, epochs: int, generator: np.random.Generator
) -> Tensor:
    """`(M, H)` hidden features; the first `unlabeled` of `nodes (M, D)` have no label."""
    draws = torch.Generator().manual_seed(int(generator.integers(2**62)))
    adjacency = Adjacency(nodes)
    mixed = adjacency @ nodes  # the first layer's neighborhood average never changes
    weights = [
        _layer(nodes.shape[1], HIDDEN_UNITS, draws, nodes.dtype),
        _layer(HIDDEN_UNITS, 1, draws, nodes.dtype),
    ]
    (first, first_bias), (second, second_bias) = weights
    parameters = [first, first_bias, second, second_bias]
    optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(epochs):
        hidden = torch.relu(mixed @ first + first_bias)
        kept = torch.rand(hidden.shape, generator=draws, dtype=hidden.dtype) >= DROPOUT
        logits = adjacency @ (hidden * kept / (1 - DROPOUT) @ second) + second_bias
        loss = labeled_loss(logits[:, 0], unlabeled)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return torch.relu(mixed @ first + first_bias).detach()


def labeled_loss(logits: Tensor, unlabeled: int) -> Tensor:
    """Eq. 4: -mean log p(labeled rows) - lambda mean log(1 - p(unlabeled rows))."""
    return (
        softplus(-logits[unlabeled:]).mean()
        + UNLABELED_WEIGHT * softplus(logits[:unlabeled]).mean()
    )


def _layer(
    inputs: int, outputs: int, draws: torch.Generator, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    bound = 1 / math.sqrt(outputs)

    def uniform(*shape: int) -> Tensor:
        values = torch.rand(shape, generator=draws, dtype=dtype)
        return values.mul_(2 * bound).sub_(bound).requires_grad_()

    return uniform(inputs, outputs), uniform(outputs)
