"""Pools larger than memory: only blocks and candidates are ever held.

What is traced is what numpy allocates; torch holds one block at a time.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from backend.acquisition import LinearHead, Pool, select


@pytest.mark.parametrize("supply", [0, None])
def test_alfa_mix_holds_far_less_than_the_pool_when_embeddings_are_a_file(supply, tmp_path):
    rows, dim, classes = 60_000, 128, 5
    shape = (rows, dim)
    rng = np.random.default_rng(0)
    file = np.memmap(tmp_path / "pool", dtype=np.float32, mode="w+", shape=shape)
    # One row in fifty is near the boundary between all classes; the others are far from it.
    file[:] = rng.normal(size=shape) * 0.1
    file[np.arange(rows) % 50 != 0, :classes] += 100 * np.eye(classes)[0]
    file.flush()
    pool = Pool(
        embeddings=np.memmap(tmp_path / "pool", dtype=np.float32, mode="r", shape=shape),
        labeled_embeddings=np.eye(classes, dim, dtype=np.float32),
        labels=np.arange(classes),
        num_classes=classes,
        head=LinearHead(np.eye(classes, dim, dtype=np.float32), np.zeros(classes, np.float32)),
        ids=np.arange(rows),
    )
    tracemalloc.start()
    try:
        selection = select(
            "alfa-mix",
            pool,
            20,
            np.random.default_rng(0),
            supply=supply,
            options={"epsilon": 0.1},
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert selection.statistics["n_candidates"] < rows / 40
    assert (selection.rows[:20] % 50 == 0).all()
    assert peak < pool.embeddings.nbytes / 4
