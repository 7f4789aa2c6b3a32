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

Legend: N pool rows, D embedding, K classes, A anchors, B budget.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from backend.acquisition.alfa_mix.anchors import anchors_of, class_means
from backend.acquisition.alfa_mix.closed_form import closed_form_flips
from backend.acquisition.alfa_mix.diversify import (
    check_diversification,
    diversify,
    prediction_changes,
)
from backend.acquisition.alfa_mix.learned_alpha import flip_by_learning
from backend.acquisition.alfa_mix.mixing import (
    Move,
    affine_flips,
    closed_form_move,
    exact_move,
    fixed_move,
    flip_by,
    stepped_flips,
)
from backend.acquisition.contract import Mixing, Picks, Pool, has_two_classes
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
    """The batch, and what mixing did to every row; `epsilon` is both the first cap and its step.

    Raises:
        AcquisitionError: no head, fewer than two labeled classes, an unknown or impossible option.
    """
    head = head_of_two_classes(pool, "alfa-mix")
    caps = epsilon_caps(epsilon)
    move = _move_of(alpha, pool, generator)
    check_diversification(diversify_by, move)
    targets = anchors_of(pool, anchors, generator)
    critical, flips_to = _search(head, pool.embeddings, targets, move, caps, budget)
    mixing, final = mixing_within(critical, flips_to, caps, budget)
    candidates = np.flatnonzero(mixing.is_candidate)
    order = critical if _is_affine(head, move) else _rank_by_margin_too(pool, head, critical)
    if diversify_by == "symmetric-kl" and move is not None and len(candidates) > budget:
        changes = prediction_changes(head, pool.embeddings, candidates, targets, move, final)
        order = order.copy()
        order[candidates] = -changes  # all others are above 0
    picks = diversify(diversify_by, pool, candidates, order, budget, generator)
    return replace(picks, mixing=mixing).with_statistics(
        n_candidates=len(candidates), n_anchors=len(targets), epsilon=final, alpha=alpha
    )


def epsilon_caps(epsilon: float) -> np.ndarray:
    """The caps to try: multiples of `epsilon` up to the first that reaches 1."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise AcquisitionError(f"epsilon must be a number above 0; found {epsilon}")
    steps = max(1, math.ceil(1 / epsilon - 1e-9))
    return epsilon * np.arange(1, steps + 1)


def final_cap(critical: np.ndarray, caps: np.ndarray, budget: int) -> float:
    """The first cap with more than `budget` candidates, else the last."""
    counts = np.searchsorted(np.sort(critical), caps, side="right")
    enough = np.flatnonzero(counts > budget)
    return float(caps[enough[0]] if len(enough) else caps[-1])


def mix_with_class_means(
    pool: Pool, head: Head, budget: int, epsilon: float
) -> tuple[Mixing, float]:
    """What the paper's mix does to every row, and the final epsilon."""
    caps = epsilon_caps(epsilon)
    targets = class_means(pool.labeled_embeddings, pool.labels)
    found = _search(head, pool.embeddings, targets, closed_form_move, caps, budget)
    return mixing_within(*found, caps, budget)


def mixing_within(
    critical: np.ndarray, flips_to: np.ndarray, caps: np.ndarray, budget: int
) -> tuple[Mixing, float]:
    """The mixing of a search's `(N,)` answers, and the cap that makes its candidates."""
    final = final_cap(critical, caps, budget)
    return Mixing(critical, critical <= final, flips_to), final


def head_of_two_classes(pool: Pool, strategy: str) -> Head:
    """The pool's head. AcquisitionError: it has none, or labels of fewer than two classes."""
    head = trained_head(pool, strategy)
    if not has_two_classes(pool.labels):
        raise AcquisitionError(
            f"{strategy} needs labels of at least two classes; "
            f"found {len(pool.labels)} labels of {len(np.unique(pool.labels))} classes"
        )
    return head


def _move_of(alpha: str, pool: Pool, generator: np.random.Generator) -> Move | None:
    """How the alpha of that name moves an embedding; None where it is learned."""
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
    head: Head,
    embeddings: np.ndarray,
    anchors: np.ndarray,
    move: Move | None,
    caps: np.ndarray,
    budget: int,
) -> tuple[np.ndarray, np.ndarray]:
    """`(N,)` critical epsilons and `(N,)` classes flipped to, by the fastest search that suits."""
    if isinstance(head, LinearHead) and move is closed_form_move:
        return closed_form_flips(head, embeddings, anchors)
    if isinstance(head, LinearHead) and move is not None:
        return affine_flips(head, embeddings, anchors, move)
    flip = flip_by_learning(head) if move is None else flip_by(head, move)
    return stepped_flips(flip, head, embeddings, anchors, caps, budget)


def _is_affine(head: Head, move: Move | None) -> bool:
    """Whether logits are affine in epsilon, so that critical epsilons are exact."""
    return isinstance(head, LinearHead) and move is not None


def _rank_by_margin_too(pool: Pool, head: Head, critical: np.ndarray) -> np.ndarray:
    """`(N,)` ranks by critical epsilon, which has few steps, then by margin, then by id."""
    margin = score_predictions(head, pool.embeddings, margins)
    rank = np.empty(len(critical))
    rank[np.lexsort((pool.ids, margin, critical))] = np.arange(len(critical))
    return rank
