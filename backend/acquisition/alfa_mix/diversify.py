"""From ALFA-Mix's candidates to its batch: the paper's clustering and the ablations of Figure 6.

Legend: N pool rows, C candidates, B budget, A anchors, D embedding, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.alfa_mix.mixing import Move, loss_direction
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import compute_dtype, map_rows, unit_rows
from backend.acquisition.engines.clustering import cluster_candidates, fill, smallest_first
from backend.acquisition.engines.distances import ProductSpace
from backend.acquisition.engines.seeding import d2_sample
from backend.acquisition.heads import Head
from backend.errors import AcquisitionError

DIVERSIFICATIONS = ("kmeans", "kmeans++", "uniform", "alpha-norm", "symmetric-kl")


def diversify(
    kind: str,
    pool: Pool,
    candidates: np.ndarray,
    order: np.ndarray,
    budget: int,
    generator: np.random.Generator,
) -> Picks:
    """B of the candidates by `kind`; with no more than B of them, those smallest in `order (N,)`.

    `alpha-norm` and `symmetric-kl` are orders: the norm of the smallest alpha that flips is the
    critical epsilon, and `prediction_changes` are the other.
    """
    if kind == "kmeans" or len(candidates) <= budget:
        return cluster_candidates(pool, candidates, order, budget, generator)
    by_order = smallest_first(order, pool.ids)
    first = by_order[:budget]
    if kind == "uniform":
        first = generator.choice(candidates, size=budget, replace=False)
    if kind == "kmeans++":
        first = _seeds(pool, candidates, budget, generator)
    return Picks(rows=fill(first, by_order, budget), eligible=candidates, order=order)


def check_diversification(kind: str, move: Move | None) -> None:
    """AcquisitionError: an unknown kind, or one that the way of mixing does not allow."""
    if kind not in DIVERSIFICATIONS:
        raise AcquisitionError(
            f"diversify must be one of {', '.join(DIVERSIFICATIONS)}; found {kind!r}"
        )
    if kind == "symmetric-kl" and move is None:
        raise AcquisitionError("diversify symmetric-kl does not work with a learned alpha")


def _seeds(
    pool: Pool, candidates: np.ndarray, budget: int, generator: np.random.Generator
) -> np.ndarray:
    """At most B candidates, seeds of k-means on their unit-length embeddings."""
    space = ProductSpace.euclidean(unit_rows(pool.embeddings, candidates))
    first = int(generator.integers(len(candidates)))
    return candidates[d2_sample(space, budget, first, generator)]


def prediction_changes(
    head: Head,
    embeddings: np.ndarray,
    candidates: np.ndarray,
    anchors: np.ndarray,
    move: Move,
    epsilon: float,
) -> np.ndarray:
    """`(C,)` symmetric KL divergence between each candidate's prediction and its mix's.

    The mix is at `epsilon`, with that of the anchors `(A, D)` that changes the prediction most.
    """
    targets = torch.as_tensor(anchors, dtype=compute_dtype(embeddings))

    def change(block: Tensor) -> Tensor:
        logits, _, gradient = loss_direction(head, block)
        before = logits.log_softmax(1)
        with torch.no_grad():
            mixes = (block + epsilon * move(a - block, gradient) for a in targets)
            changes = [symmetric_kl(before, head(mix).log_softmax(1)) for mix in mixes]
        return torch.stack(changes).amax(0)

    return map_rows(embeddings, change, candidates)


def symmetric_kl(left: Tensor, right: Tensor) -> Tensor:
    """`(n,)`, (KL(p, q) + KL(q, p)) / 2 of log-probabilities `(n, K)`."""
    return ((left.exp() - right.exp()) * (left - right)).sum(1) / 2
