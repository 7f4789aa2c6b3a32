"""Anchors: the labeled embeddings that ALFA-Mix mixes unlabeled ones with.

Shapes: L labeled rows, D embedding, A anchors.
"""

from __future__ import annotations

import numpy as np


def class_means(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return `(A, D)` float64, the mean of `embeddings (L, D)` for each class that has a label.

    A class without labels has no anchor. The authors' code gives it the mean of all labels; that
    point lies inside the hull of the others, so it is never the farthest and changes nothing for a
    linear head.
    """
    return np.stack([embeddings[labels == c].mean(0, dtype=np.float64) for c in np.unique(labels)])
