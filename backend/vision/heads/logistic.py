"""Logistic regression, run until it converges, held out in five folds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression

from backend.vision.heads.candidate import Candidate, Labeled

STRENGTHS = (0.1, 1.0, 10.0)
# scikit-learn's C of strength 1, on coordinates whose root mean square feature is 1.
USUAL_C = 0.1
FOLDS = 5
MOST_STEPS = 1000


def logistic_regressions(labeled: Labeled, generator: np.random.Generator) -> Iterator[Candidate]:
    """Heads of rising strength, the weight of the L2 penalty."""
    folds = _folds(labeled, generator)
    for strength in STRENGTHS:
        weight, bias = _fit(labeled.rows, labeled.labels, strength)
        logits = np.empty((len(labeled.held_out), len(labeled.counts)))
        for number in range(FOLDS):
            out = folds == number
            if out.any():
                kept = np.delete(np.arange(len(labeled.rows)), labeled.held_out[out])
                without = _fit(labeled.rows[kept], labeled.labels[kept], strength)
                logits[out] = labeled.rows[labeled.held_out[out]] @ without[0].T + without[1]
        yield Candidate(strength, weight, bias, logits)


def _folds(labeled: Labeled, generator: np.random.Generator) -> np.ndarray:
    """(H,) the fold of each row that can be held out: no fold takes all labels of a class."""
    order = generator.permutation(len(labeled.held_out))
    order = order[np.argsort(labeled.labels[labeled.held_out][order], kind="stable")]
    folds = np.empty(len(order), np.int64)
    folds[order] = np.arange(len(order)) % FOLDS
    return folds


def _fit(rows: np.ndarray, labels: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """(P, R) and (P,); classes as frequent as labeled where nothing tells them apart."""
    counts = np.bincount(labels)
    if rows.shape[1] == 0 or len(counts) < 2:
        return np.zeros((len(counts), rows.shape[1])), np.log(counts / len(labels))
    found = LogisticRegression(C=USUAL_C / strength, max_iter=MOST_STEPS).fit(rows, labels)
    if len(found.classes_) > 2:
        return found.coef_, found.intercept_
    halves = np.array([[-0.5], [0.5]])  # of two classes scikit-learn keeps the difference
    return halves * found.coef_, halves[:, 0] * found.intercept_
