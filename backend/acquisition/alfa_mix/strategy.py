"""alfa-mix: the rows whose prediction a small mix with labeled features flips.

Idea. Mix each unlabeled embedding with the anchor (mean embedding) of every class; rows whose
predicted class flips under a small, loss-maximizing mix are the candidates. k-means with B clusters
on the candidates' unit-length embeddings; the row nearest each center is labeled.

Source. Parvaneh et al., "Active Learning by Feature Mixing", CVPR 2022: mix Eq. 1, loss-maximizing
alpha Eq. 4, its closed form Eq. 5, candidates Eq. 6, clustering Section 3.4; epsilon's scale and
growth from the authors' code.

Three ways to choose alpha, by their names: `closed_form` (Eq. 5, which solves a bound on
alpha (z* - z)), `exact` (the maximum of Eq. 4 as it stands, which bounds alpha) and `learned`
(gradient ascent). `fixed` is the paper's ablation: one random alpha for all.

Cost. closed_form with a linear head: one N x D x (K + A) product. exact: A of them. learned, and
any other head: as many forward and backward passes for each epsilon step. Then k-means.
Needs. A head, labels of at least two classes.

Deviations.
- The paper leaves epsilon open. As in the authors' code it grows in steps of `epsilon` until more
  than B rows are candidates or it reaches 1.
- With B candidates or fewer the authors fill up at random; here the next smallest critical epsilon
  does, and so it does for a cluster that repeated rows leave empty.
- The batch is ranked: larger cluster first, then smaller critical epsilon, then smaller task id.
- A class without labels has no anchor.

Shapes: N pool rows, D embedding, K classes, A anchors, B budget.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from backend.acquisition.alfa_mix.anchors import anchors_of
from backend.acquisition.alfa_mix.closed_form import critical_epsilons
from backend.acquisition.alfa_mix.diversify import Candidates, check_diversification, diversify
from backend.acquisition.alfa_mix.learned_alpha import flips_by_learning
from backend.acquisition.alfa_mix.mixing import (
    Move,
    affine_critical_epsilons,
    closed_form_move,
    exact_move,
    fixed_move,
    flips_by,
    stepped_critical_epsilons,
)
from backend.acquisition.contract import Picks, Pool, has_two_classes
from backend.acquisition.engines.blocks import compute_dtype
from backend.acquisition.engines.predictions import margins, score_predictions, trained_head
from backend.acquisition.heads import Head, LinearHead
from backend.errors import AcquisitionError

ALPHAS = ("closed_form", "exact", "learned", "fixed")


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    epsilon: float = 0.2,
    alpha: str = "closed_form",
    anchors: str = "class-means",
    diversify_by: str = "kmeans",
) -> Picks:
    """Return the batch; `epsilon` is both the first cap and its step.

    `informativeness` is the critical epsilon: the smaller, the more informative.

    Raises:
        AcquisitionError: no head, fewer than two labeled classes, an unknown or impossible option.
    """
    head = _head_of_two_classes(pool)
    caps = epsilon_caps(epsilon)
    move = _move_of(alpha, pool, generator)
    check_diversification(diversify_by, move)
    targets = anchors_of(pool, anchors, generator)
    found = _search(pool, head, targets, alpha, move, caps, budget)
    picks = diversify(diversify_by, pool, found, budget, generator)
    return picks.with_statistics(
        informativeness=found.critical,
        n_candidates=len(found.rows),
        n_anchors=len(targets),
        epsilon=found.epsilon,
        alpha=alpha,
    )


def epsilon_caps(epsilon: float) -> np.ndarray:
    """Return the caps to try: multiples of `epsilon` up to the first that reaches 1."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise AcquisitionError(f"epsilon must be a number above 0; found {epsilon}")
    steps = max(1, math.ceil(1 / epsilon - 1e-9))
    return epsilon * np.arange(1, steps + 1)


def final_cap(critical: np.ndarray, caps: np.ndarray, budget: int) -> float:
    """Return the first cap with more than `budget` candidates, else the last."""
    counts = np.searchsorted(np.sort(critical), caps, side="right")
    enough = np.flatnonzero(counts > budget)
    return float(caps[enough[0]] if len(enough) else caps[-1])


def _head_of_two_classes(pool: Pool) -> Head:
    head = trained_head(pool, "alfa-mix")
    if not has_two_classes(pool.labels):
        raise AcquisitionError(
            f"alfa-mix needs labels of at least two classes; "
            f"found {len(pool.labels)} labels of {len(np.unique(pool.labels))} classes"
        )
    return head


def _move_of(alpha: str, pool: Pool, generator: np.random.Generator) -> Move | None:
    if alpha == "closed_form":
        return closed_form_move
    if alpha == "exact":
        return exact_move
    if alpha == "fixed":
        drawn = generator.random(pool.embeddings.shape[1])
        return fixed_move(torch.as_tensor(drawn, dtype=compute_dtype(pool.embeddings)))
    if alpha == "learned":
        return None
    raise AcquisitionError(f"alpha must be one of {', '.join(ALPHAS)}; found {alpha!r}")


def _search(
    pool: Pool,
    head: Head,
    anchors: np.ndarray,
    alpha: str,
    move: Move | None,
    caps: np.ndarray,
    budget: int,
) -> Candidates:
    """Return the candidates for the first of `caps` that has more than B of them."""
    linear = isinstance(head, LinearHead)
    if linear and alpha == "closed_form":
        critical = critical_epsilons(pool.embeddings, anchors, head)
    elif linear and move is not None:
        critical = affine_critical_epsilons(head, pool.embeddings, anchors, move)
    else:
        flips = flips_by_learning(head) if move is None else flips_by(head, move)
        critical = stepped_critical_epsilons(head, pool.embeddings, anchors, flips, caps, budget)
    epsilon = final_cap(critical, caps, budget)
    key = critical
    if not linear or move is None:
        key = _rank_by_margin_too(pool, head, critical)
    return Candidates(np.flatnonzero(critical <= epsilon), critical, key, epsilon, anchors, move)


def _rank_by_margin_too(pool: Pool, head: Head, critical: np.ndarray) -> np.ndarray:
    """Return `(N,)` ranks by critical epsilon, which has few steps, then by margin, then by id."""
    margin = score_predictions(head, pool.embeddings, margins)
    rank = np.empty(len(critical))
    rank[np.lexsort((pool.ids, margin, critical))] = np.arange(len(critical))
    return rank
