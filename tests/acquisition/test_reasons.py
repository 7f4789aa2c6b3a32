"""What is told of chosen rows, against loops over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from backend.acquisition import Pool, reasons_of, select


def pool_of(labels: list[int]) -> Pool:
    generator = np.random.default_rng(0)
    return Pool(
        embeddings=generator.normal(size=(30, 4)).astype(np.float32),
        labeled_embeddings=generator.normal(size=(len(labels), 4)).astype(np.float32),
        labels=np.array(labels, dtype=np.int64),
        num_classes=4,
        head=None,
        ids=np.arange(100, 130),
    )


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def selection_of(pool: Pool):
    return select("maxherding", pool, 5, np.random.default_rng(1))


def test_reasons_are_those_of_an_exhaustive_search():
    pool = pool_of([0, 3, 3, 0, 1])
    selection = selection_of(pool)
    found = reasons_of(pool, selection, 12)
    for place, row in enumerate(selection.rows[:12]):
        alike = [cosine(pool.embeddings[row], other) for other in pool.labeled_embeddings]
        assert found.nearest_labeled[place] == int(np.argmax(alike))
        assert found.similarities[place] == pytest.approx(max(alike), abs=1e-5)
        means = {c: pool.labeled_embeddings[pool.labels == c].mean(0) for c in (0, 1, 3)}
        far = {c: np.linalg.norm(mean - pool.embeddings[row]) for c, mean in means.items()}
        assert found.anchors[place] == max(far, key=far.get)
        same = selection.clusters == selection.clusters[place]
        assert found.cluster_sizes[place] == same.sum()


def test_clusters_hold_the_whole_pool():
    pool = pool_of([0, 1])
    assert reasons_of(pool, selection_of(pool), 5).cluster_sizes.sum() == 30


def test_reasons_name_no_labeled_row_when_there_is_none():
    pool = pool_of([])
    found = reasons_of(pool, selection_of(pool), 5)
    assert (found.nearest_labeled.tolist(), found.anchors.tolist()) == ([-1] * 5, [-1] * 5)
    assert np.isnan(found.similarities).all()
