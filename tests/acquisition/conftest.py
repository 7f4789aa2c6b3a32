"""Pools of a known kind for the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest

from backend.acquisition import LinearHead, Pool


@pytest.fixture
def make_pool():
    """A function that builds a random pool around class centers, with a linear head."""

    def make(
        rows=200, labeled=40, classes=4, dim=8, seed=0, dtype=np.float32, labels=None, **changes
    ):
        rng = np.random.default_rng(seed)
        centers = rng.normal(size=(classes, dim))
        if labels is None:
            labels = np.arange(labeled) % classes
        labels = np.asarray(labels, dtype=np.int64)
        parts = {
            "embeddings": rng.normal(size=(rows, dim)) + centers[rng.integers(classes, size=rows)],
            "labeled_embeddings": rng.normal(size=(len(labels), dim)) + centers[labels],
        }
        head = LinearHead(
            (0.5 * centers + 0.1 * rng.normal(size=(classes, dim))).astype(dtype),
            (0.1 * rng.normal(size=classes)).astype(dtype),
        )
        pool = {
            **{name: array.astype(dtype) for name, array in parts.items()},
            "labels": labels,
            "num_classes": classes,
            "head": head,
            "ids": rng.permutation(rows).astype(np.int64) + 1000,
        }
        return Pool(**{**pool, **changes})

    return make
