"""Embeddings in two dimensions, for people to look at.

Legend: n rows, D embedding, c rows that two projections have in common.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

# UMAP takes long on many columns, and what they hold beyond these is noise to it.
UMAP_COLUMNS = 50
# From where rows lay before, UMAP's own steps (500 epochs, rate 1) end as far away as without it:
# 1,000 digits with noise of 0.4 deviations moved by 0.46 of the map's spread, with these by 0.32,
# and neighbors stay neighbors as well (trustworthiness 0.955 both).
GENTLE = {"n_epochs": 100, "learning_rate": 0.25}


def kind_of_projection() -> str:
    """`umap` where that package is installed, else `pca`."""
    return "umap" if importlib.util.find_spec("umap") else "pca"


def project(
    embeddings: np.ndarray, seed: int, kind: str = "pca", start: np.ndarray | None = None
) -> np.ndarray:
    """(n, 2) float32 of (n, D) embeddings; the same for the same input. Zeros for one row.

    `pca`: the two directions of most variance, in all columns at one scale. `umap`: McInnes et al.
    2018, on the first principal components, from `start` on.
    start: (n, 2), where the rows lay before; NaN for new ones.
    """
    if len(embeddings) < 2:
        return np.zeros((len(embeddings), 2), dtype=np.float32)
    rows = embeddings - embeddings.mean(axis=0)
    rows = rows / np.maximum(rows.std(axis=0), 1e-6)
    if kind == "umap" and len(rows) > UMAP_COLUMNS:
        from umap import UMAP

        columns = min(UMAP_COLUMNS, rows.shape[1])
        reduced = PCA(columns, svd_solver="randomized", random_state=seed).fit_transform(rows)
        before = "spectral" if start is None else _filled(start, reduced)
        steps = {} if isinstance(before, str) else GENTLE
        found = UMAP(random_state=seed, init=before, **steps).fit_transform(reduced)
        return found.astype(np.float32)
    columns = min(2, *rows.shape)
    points = PCA(columns, svd_solver="randomized", random_state=seed).fit_transform(rows)
    return np.pad(points, ((0, 0), (0, 2 - columns))).astype(np.float32)


def _filled(start: np.ndarray, columns: np.ndarray) -> np.ndarray | str:
    """`start` with each new row where the one lies that is nearest to it by its columns."""
    is_new = np.isnan(start).any(axis=1)
    if is_new.all():
        return "spectral"
    if not is_new.any():
        return start
    known = NearestNeighbors(n_neighbors=1).fit(columns[~is_new])
    filled = start.copy()
    filled[is_new] = start[~is_new][known.kneighbors(columns[is_new], return_distance=False)[:, 0]]
    return filled


def aligned(points: np.ndarray, common: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n, 2) points turned and mirrored, not stretched, as `common` comes nearest to `target`.

    common, target: (c, 2), the same rows in this projection and in an earlier one. Orthogonal
    Procrustes: Schönemann 1966.
    """
    if len(common) < 2:
        return points
    center, goal = common.mean(axis=0), target.mean(axis=0)
    left, _, right = np.linalg.svd((common - center).T @ (target - goal))
    return ((points - center) @ (left @ right) + goal).astype(np.float32)
