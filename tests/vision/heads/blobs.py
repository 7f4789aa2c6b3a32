"""Labeled embeddings for the tests of heads, and what leaving one out comes to when it is done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backend.vision.heads.candidate import Candidate, Labeled
from backend.vision.heads.coordinates import Coordinates

Fit = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def blobs(
    counts: tuple[int, ...], dimension: int, seed: int = 0, distance: float = 1.5
) -> tuple[np.ndarray, np.ndarray]:
    """(L, D) float64 embeddings off the origin, and (L,) labels: counts[k] of class k, shuffled."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    centers = distance * rng.normal(size=(len(counts), dimension))
    spread = np.linspace(0.5, 2, dimension)
    return 5 + centers[labels] + spread * rng.normal(size=(len(labels), dimension)), labels


def labeled(counts: tuple[int, ...], dimension: int, seed: int = 0) -> Labeled:
    """Blobs as the kinds of heads get them."""
    embeddings, labels = blobs(counts, dimension, seed)
    return Labeled(Coordinates.of(embeddings).rows, labels)


def left_out(data: Labeled, fit: Fit) -> np.ndarray:
    """(H, P) logits by as many fits: each row's from the fit to all the others."""
    found = []
    for row in data.held_out:
        others = np.delete(np.arange(len(data.labels)), row)
        weight, bias = fit(data.rows[others], data.labels[others])
        found.append(data.rows[row] @ weight.T + bias)
    return np.array(found)


def differences(logits: np.ndarray) -> np.ndarray:
    """Logits but for what all classes share, which changes no probability."""
    return logits - logits.mean(axis=1, keepdims=True)


def on_rows(candidate: Candidate, data: Labeled) -> np.ndarray:
    """(L, P) logits of the labeled rows."""
    return data.rows @ candidate.weight.T + candidate.bias
