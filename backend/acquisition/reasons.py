"""Why rows stand at the head of a ranking, in what a person can look at.

Legend: N pool rows, L labeled rows, D embedding, m rows to explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.contract import Pool, Selection
from backend.acquisition.engines.blocks import unit_rows

NONE = -1


@dataclass(frozen=True, eq=False)
class Reasons:
    """Of m ranked rows, a column each.

    cluster_sizes: (m,) int64, pool rows that are nearest to the same row of the batch: what it
        stands for.
    nearest_labeled: (m,) int64 in [0, L), the labeled row that looks most alike; -1 for none.
    similarities: (m,) float32 in [-1, 1], cosine with that row; nan for none.
    anchors: (m,) int64 class whose mean is farthest: the one whose mix moves a row the most, and
        with alpha in closed form and a linear head the one that flips it first. -1 for none.
    """

    cluster_sizes: np.ndarray
    nearest_labeled: np.ndarray
    similarities: np.ndarray
    anchors: np.ndarray


def reasons_of(pool: Pool, selection: Selection, count: int) -> Reasons:
    """The reasons of the first `count` rows of a selection, or of all where it is shorter."""
    rows, clusters = selection.rows[:count], selection.clusters[:count]
    sizes = np.bincount(selection.clusters, minlength=selection.batch_size)
    if len(pool.labels) == 0 or len(rows) == 0:
        none = np.full(len(rows), NONE)
        return Reasons(sizes[clusters], none, np.full(len(rows), np.nan, np.float32), none)
    cosines = unit_rows(pool.embeddings, rows) @ unit_rows(pool.labeled_embeddings).T
    nearest = cosines.argmax(axis=1)
    return Reasons(
        cluster_sizes=sizes[clusters],
        nearest_labeled=nearest,
        similarities=cosines[np.arange(len(rows)), nearest].astype(np.float32),
        anchors=_farthest_anchors(pool, rows),
    )


def _farthest_anchors(pool: Pool, rows: np.ndarray) -> np.ndarray:
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    points = np.asarray(pool.embeddings[rows], dtype=np.float64)
    # |z* - z|^2 without |z|^2, which is the same for all anchors of a row.
    squares = (anchors**2).sum(axis=1) - 2 * points @ anchors.T
    return np.unique(pool.labels)[squares.argmax(axis=1)]
