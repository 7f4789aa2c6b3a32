"""Anchors: the labeled embeddings that ALFA-Mix mixes unlabeled ones with.

Legend: L labeled rows, D embedding, A anchors.
"""

from __future__ import annotations

import numpy as np

from backend.acquisition.contract import Pool
from backend.errors import AcquisitionError

ANCHORS = ("class-means", "random-labeled", "none")


def anchors_of(pool: Pool, kind: str, generator: np.random.Generator) -> np.ndarray:
    """`(A, D)` float64 anchors.

    `class-means` are the paper's; `random-labeled` takes one labeled row per class; `none` mixes
    with the origin, which holds no labeled feature.
    """
    if kind == "class-means":
        return class_means(pool.labeled_embeddings, pool.labels)
    if kind == "random-labeled":
        seen = np.unique(pool.labels)
        rows = [generator.choice(np.flatnonzero(pool.labels == c)) for c in seen]
        return pool.labeled_embeddings[rows].astype(np.float64)
    if kind == "none":
        return np.zeros((1, pool.embeddings.shape[1]))
    raise AcquisitionError(f"anchors must be one of {', '.join(ANCHORS)}; found {kind!r}")


def class_means(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`(A, D)` float64, the mean of `embeddings (L, D)` for each class that has a label.

    A class without labels has no anchor. The authors' code gives it the mean of all labels; that
    point lies inside the hull of the others, so it is never the farthest and changes nothing for a
    linear head.
    """
    return np.stack([embeddings[labels == c].mean(0, dtype=np.float64) for c in np.unique(labels)])
