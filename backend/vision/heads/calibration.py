"""One temperature for all classes, from labels that the head was not fitted on.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017; targets smoothed as Platt did
(1999), since few labels that are all right would ask for endless certainty.

Legend: n labels, P classes.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# Logarithms of the most and least that typical logits are multiplied by.
BOUNDS = (-4.0, 6.0)


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """What to divide (n, P) logits by so that their cross-entropy with (n,) labels is least.

    Of n + 1 parts of a target one lies on the other classes. 1 where the logits tell nothing.
    """
    size = float(np.abs(logits - logits.mean(axis=1, keepdims=True)).mean()) if len(labels) else 0.0
    if size == 0:
        return 1.0
    targets = smoothed(labels, logits.shape[1])

    def loss(log_factor: float) -> float:
        scaled = logits * (np.exp(log_factor) / size)
        return -float((targets * log_softmax(scaled, axis=1)).sum())

    found = minimize_scalar(loss, bounds=BOUNDS, method="bounded", options={"xatol": 1e-3})
    return size / float(np.exp(found.x))


def smoothed(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(n, P) targets: n / (n + 1) on the label, the rest shared by the other classes; P >= 2."""
    left = 1 / (len(labels) + 1)
    targets = np.full((len(labels), num_classes), left / (num_classes - 1))
    targets[np.arange(len(labels)), labels] = 1 - left
    return targets
