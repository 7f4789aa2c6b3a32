"""Ridge regression on one-hot labels, every label left out once in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.vision.heads.candidate import Candidate, Labeled

STRENGTHS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def ridges(labeled: Labeled, _generator: np.random.Generator) -> Iterator[Candidate]:
    """Heads of rising strength: the penalty, 1 for the mean eigenvalue of the scatter.

    The coordinates' columns are orthogonal, so that scatter and hat matrix need no decomposition. A
    left-out residual is the residual over 1 - h, h the hat matrix's diagonal (Allen's PRESS).
    """
    rows, held_out = labeled.rows, labeled.held_out
    targets = np.eye(len(labeled.counts))[labeled.labels]
    bias = targets.mean(axis=0)
    scatter = np.square(rows).sum(axis=0)
    unit = float(scatter.mean()) if len(scatter) else 1.0
    for strength in STRENGTHS:
        inverse = 1 / (scatter + strength * unit)
        weight = (targets - bias).T @ rows * inverse
        leverage = np.square(rows[held_out]) @ inverse + 1 / len(rows)
        residuals = (targets - bias - rows @ weight.T)[held_out]
        logits = targets[held_out] - residuals / (1 - leverage)[:, None]
        yield Candidate(strength, weight, bias, logits)
