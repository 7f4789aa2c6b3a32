"""ALFA-Mix: label the rows whose prediction a small mix with labeled features flips.

Idea. Mix each unlabeled embedding with the anchor (mean embedding) of every class; rows whose
predicted class flips under a small, loss-maximizing mix are the candidates. k-means with B clusters
on the candidates' unit-length embeddings; the row nearest each center is labeled.

Source. Parvaneh et al., "Active Learning by Feature Mixing", CVPR 2022: mix Eq. 1, candidates
Eq. 6, closed form Eq. 5, clustering Section 3.4; epsilon's scale and growth from the authors' code.

Cost. One N x D x (K + A) product for the search, then k-means on the candidates.
Needs. A head, labels of at least two classes.

Deviations.
- The paper leaves epsilon open. As in the authors' code it grows in steps of `epsilon` until more
  than B rows are candidates or it reaches 1.
- With B candidates or fewer the authors fill up at random; here the next smallest critical epsilon
  does, and so it does for a cluster that repeated rows leave empty.
- The batch is ranked: larger cluster first, then smaller critical epsilon, then smaller task id.

Shapes: N pool rows, D embedding, K classes, A anchors, B budget.
"""

from __future__ import annotations

import math

import numpy as np

from backend.acquisition.anchors import class_means
from backend.acquisition.blocks import unit_rows
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.heads import LinearHead
from backend.acquisition.kmeans import kmeans, medoids
from backend.acquisition.ray import critical_epsilons
from backend.errors import AcquisitionError


def pick(pool: Pool, budget: int, generator: np.random.Generator, *, epsilon: float = 0.2) -> Picks:
    """Return the batch; `epsilon` is both the first cap and its step.

    Raises:
        AcquisitionError: no head, fewer than two labeled classes, epsilon not above 0.
    """
    require_two_classes(pool)
    caps = epsilon_caps(epsilon)
    critical = _critical_epsilons(pool)
    cap = final_cap(critical, caps, budget)
    candidates = np.flatnonzero(critical < cap)
    order = np.lexsort((pool.ids, critical))
    statistics = {"n_candidates": len(candidates), "epsilon": cap, "n_anchors": _anchor_count(pool)}
    if len(candidates) <= budget:
        return Picks(
            rows=order[:budget], order=critical, informativeness=critical, statistics=statistics
        )
    rows, centers = _cluster(pool, candidates, critical, order, budget, generator)
    return Picks(rows, centers, candidates, critical, critical, statistics)


def require_two_classes(pool: Pool) -> None:
    """Raise AcquisitionError unless there is a head and labels of two classes."""
    if pool.head is None:
        raise AcquisitionError("ALFA-Mix needs a trained head; the pool has none")
    if _anchor_count(pool) < 2:
        raise AcquisitionError(
            f"ALFA-Mix needs labels of at least two classes; found {len(pool.labels)} labels "
            f"of {_anchor_count(pool)} classes"
        )


def _anchor_count(pool: Pool) -> int:
    return len(np.unique(pool.labels))


def epsilon_caps(epsilon: float) -> np.ndarray:
    """Return the caps to try: multiples of `epsilon` up to the first that reaches 1."""
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise AcquisitionError(f"epsilon must be a number above 0; found {epsilon}")
    steps = max(1, math.ceil(1 / epsilon - 1e-9))
    return epsilon * np.arange(1, steps + 1)


def final_cap(critical: np.ndarray, caps: np.ndarray, budget: int) -> float:
    """Return the first cap with more than `budget` candidates, else the last."""
    counts = np.searchsorted(np.sort(critical), caps, side="left")
    enough = np.flatnonzero(counts > budget)
    return float(caps[enough[0]] if len(enough) else caps[-1])


def _critical_epsilons(pool: Pool) -> np.ndarray:
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    if not isinstance(pool.head, LinearHead):
        raise AcquisitionError("ALFA-Mix takes a LinearHead; found " + type(pool.head).__name__)
    return critical_epsilons(pool.embeddings, anchors, pool.head)


def _cluster(
    pool: Pool,
    candidates: np.ndarray,
    critical: np.ndarray,
    order: np.ndarray,
    budget: int,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ranked batch `(B,)` and the centers `(B, D)` that its rows stand for."""
    points = unit_rows(pool.embeddings, candidates)
    clustering = kmeans(points, budget, generator)
    clusters, positions = medoids(clustering, pool.ids[candidates])
    nearest = candidates[positions]
    rank = np.lexsort((pool.ids[nearest], critical[nearest], -clustering.sizes[clusters]))
    chosen = nearest[rank]
    filling = order[~np.isin(order, chosen)][: budget - len(chosen)]
    centers = [clustering.centers[clusters[rank]], unit_rows(pool.embeddings, filling)]
    return np.concatenate([chosen, filling]), np.concatenate(centers)
