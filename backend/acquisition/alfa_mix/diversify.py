"""From ALFA-Mix's candidates to its batch: the paper's clustering and the ablations of Figure 6.

Shapes: N pool rows, C candidates, B budget, A anchors, D embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.alfa_mix.mixing import Move, loss_direction
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import compute_dtype, map_rows, unit_rows
from backend.acquisition.engines.clustering import cluster_candidates, smallest_first
from backend.acquisition.engines.distances import ProductSpace
from backend.acquisition.engines.seeding import d2_sample
from backend.errors import AcquisitionError

DIVERSIFICATIONS = ("kmeans", "kmeans++", "uniform", "alpha-norm", "symmetric-kl")


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the search found, and how it mixed."""

    rows: np.ndarray  # (C,) pool rows, ascending
    critical: np.ndarray  # (N,) smallest epsilon that flips; inf for never
    key: np.ndarray  # (N,) the same order with fewer ties: what fills up, smallest first
    epsilon: float  # that made them candidates
    anchors: np.ndarray  # (A, D)
    move: Move | None  # None where alpha is learned


def diversify(
    kind: str, pool: Pool, found: Candidates, budget: int, generator: np.random.Generator
) -> Picks:
    """Return B rows; with no more candidates than B, those of smallest critical epsilon."""
    order = smallest_first(found.key, pool.ids)
    if kind == "kmeans" and len(found.rows) > budget:
        return cluster_candidates(pool, found.rows, found.key, budget, generator)
    first = order[:budget]
    if len(found.rows) > budget:
        first = _preferred(kind, pool, found, order, budget, generator)
    rest = order[~np.isin(order, first)][: budget - len(first)]
    return Picks(rows=np.concatenate([first, rest]), eligible=found.rows, order=found.key)


def check_diversification(kind: str, move: Move | None) -> None:
    """Raise AcquisitionError for an unknown kind, or one that the way of mixing does not allow."""
    if kind not in DIVERSIFICATIONS:
        raise AcquisitionError(
            f"diversify must be one of {', '.join(DIVERSIFICATIONS)}; found {kind!r}"
        )
    if kind == "symmetric-kl" and move is None:
        raise AcquisitionError("diversify symmetric-kl does not work with a learned alpha")


def _preferred(
    kind: str,
    pool: Pool,
    found: Candidates,
    order: np.ndarray,
    budget: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return at most B candidates in the order of the ablation `kind`."""
    if kind == "alpha-norm":  # the norm of the smallest alpha that flips is the critical epsilon
        return order[:budget]
    if kind == "uniform":
        return generator.choice(found.rows, size=budget, replace=False)
    if kind == "kmeans++":
        space = ProductSpace.euclidean(unit_rows(pool.embeddings, found.rows))
        first = int(generator.integers(len(found.rows)))
        return found.rows[d2_sample(space, budget, first, generator)]
    changes = prediction_changes(pool, found)
    return found.rows[np.lexsort((pool.ids[found.rows], -changes))][:budget]


def prediction_changes(pool: Pool, found: Candidates) -> np.ndarray:
    """Return `(C,)` symmetric KL divergence between each candidate's prediction and its mix's.

    The mix is at the final epsilon, with the anchor that changes the prediction most.
    """
    head, move = pool.head, found.move
    targets = torch.as_tensor(found.anchors, dtype=compute_dtype(pool.embeddings))

    def change(block: Tensor) -> Tensor:
        logits, _, gradient = loss_direction(head, block)
        before = logits.log_softmax(1)
        with torch.no_grad():
            mixes = (block + found.epsilon * move(a - block, gradient) for a in targets)
            changes = [symmetric_kl(before, head(mix).log_softmax(1)) for mix in mixes]
        return torch.stack(changes).amax(0)

    return map_rows(pool.embeddings, change, found.rows)


def symmetric_kl(left: Tensor, right: Tensor) -> Tensor:
    """Return `(n,)`, (KL(p, q) + KL(q, p)) / 2 of log-probabilities `(n, K)`."""
    return ((left.exp() - right.exp()) * (left - right)).sum(1) / 2
