"""The nearest class mean by angle: unit-length embeddings about the mean of all."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backend.vision.heads.candidate import Candidate, Labeled


def class_means(labeled: Labeled, _generator: np.random.Generator) -> Iterator[Candidate]:
    """The one head: a unit vector a class; a left-out row is taken from its class's sum."""
    units = _unit_length(labeled.rows)
    sums = np.zeros((len(labeled.counts), units.shape[1]))
    np.add.at(sums, labeled.labels, units)
    weight = _unit_length(sums)
    held_out, labels = labeled.held_out, labeled.labels[labeled.held_out]
    rows = labeled.rows[held_out]
    logits = rows @ weight.T
    without = _unit_length(sums[labels] - units[held_out])
    logits[np.arange(len(labels)), labels] = (rows * without).sum(axis=1)
    yield Candidate(1.0, weight, np.zeros(len(sums)), logits)


def _unit_length(rows: np.ndarray) -> np.ndarray:
    """(n, R) rows of length 1; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)
