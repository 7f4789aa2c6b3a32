"""What the strategies that optimize something reach with their picks, from the papers' formulas.

Written out on whole matrices in float64 and none of it shared with `backend.acquisition`.
Legend: N pool rows, L labeled rows, B picks, D embedding, K classes.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import softmax

from backend.acquisition import Pool


def kernel_coverage(pool: Pool, picks: np.ndarray) -> float:
    """MaxHerding's: mean over the pool of the largest exp(-d^2) to a labeled or picked row."""
    return float(np.exp(-(_to_nearest(pool, picks) ** 2)).mean())


def doubt_coverage(pool: Pool, picks: np.ndarray) -> float:
    """UHerding's: the same under the labeled rows' smallest distance, weighed by 1 - margin."""
    sigma = pdist(_unit(pool.labeled_embeddings)).min()
    covered = np.exp(-((_to_nearest(pool, picks) / sigma) ** 2))
    top = np.sort(_probabilities(pool, pool.embeddings), axis=1)
    return float(((1 - (top[:, -1] - top[:, -2])) * covered).mean())


def ball_coverage(radius: float, pool: Pool, picks: np.ndarray) -> float:
    """ProbCover's: the share of the pool within `radius` of a labeled or picked row."""
    return float((_to_nearest(pool, picks) <= radius).mean())


def farthest(pool: Pool, picks: np.ndarray) -> float:
    """Core-set's: the largest distance of a pool row to its nearest labeled or picked one."""
    chosen = np.concatenate([pool.labeled_embeddings, pool.embeddings[picks]])
    return float(cdist(pool.embeddings, chosen).min(axis=1).max())


def unexplained_information(pool: Pool, picks: np.ndarray) -> float:
    """BAIT's, in the binary form: trace((1 + known)^-1 mean information of all)."""
    rows, labeled = (_fisher_rows(pool, of) for of in (pool.embeddings, pool.labeled_embeddings))
    chosen, total = rows[picks], len(labeled) + len(picks)
    known = (labeled.T @ labeled + len(picks) * chosen.T @ chosen) / total
    everything = (rows.T @ rows + labeled.T @ labeled) / (len(rows) + len(labeled))
    return float(np.trace(np.linalg.solve(np.eye(len(known)) + known, everything)))


def gradient_spread(pool: Pool, picks: np.ndarray) -> float:
    """BADGE's: mean squared distance of the rows' gradients to the nearest picked one."""
    probabilities = _probabilities(pool, pool.embeddings)
    residuals = np.eye(pool.num_classes)[probabilities.argmax(axis=1)] - probabilities
    gradients = (residuals[:, :, None] * pool.embeddings[:, None, :]).reshape(len(residuals), -1)
    return float((cdist(gradients, gradients[picks]).min(axis=1) ** 2).mean())


def _to_nearest(pool: Pool, picks: np.ndarray) -> np.ndarray:
    """`(N,)` distance on unit-length rows to the nearest labeled or picked one."""
    unit = _unit(pool.embeddings)
    return cdist(unit, np.concatenate([_unit(pool.labeled_embeddings), unit[picks]])).min(axis=1)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _probabilities(pool: Pool, embeddings: np.ndarray) -> np.ndarray:
    head, rows = pool.head, embeddings.astype(np.float64)
    return softmax(rows @ head.weight.T.astype(np.float64) + head.bias, axis=1)


def _fisher_rows(pool: Pool, embeddings: np.ndarray) -> np.ndarray:
    top = _probabilities(pool, embeddings).max(axis=1, keepdims=True)
    return np.sqrt(top * (1 - top)) * embeddings
