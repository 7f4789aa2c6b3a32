"""Maps and reasons are read as they were written."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import StoreError
from model_store.maps import PoolMap, read_map, write_map
from model_store.reasons import TaskReasons, read_reasons, write_reasons


def test_map_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "map.parquet"
    points = np.array([[0.5, -1.0], [2.0, 3.0]], dtype=np.float32)
    write_map(path, PoolMap(np.array([7, 9]), points, tuning=2, kind="pca"))
    found = read_map(path)
    assert (found.task_ids.tolist(), found.tuning, found.kind) == ([7, 9], 2, "pca")
    np.testing.assert_array_equal(found.points, points)


def test_map_may_be_empty(tmp_path):
    write_map(tmp_path / "map.parquet", PoolMap.nothing())
    assert read_map(tmp_path / "map.parquet").points.shape == (0, 2)


def test_reasons_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "reasons.parquet"
    written = TaskReasons(
        np.array([7, 9]),
        np.array([4, 1]),
        np.array([3, -1]),
        np.array([0.5, np.nan], dtype=np.float32),
        np.array([1, -1], dtype=np.int32),
    )
    write_reasons(path, written)
    found = read_reasons(path)
    for name in ("task_ids", "cluster_sizes", "nearest_labeled", "similarities", "anchors"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))


@pytest.mark.parametrize("read", [read_map, read_reasons])
def test_reading_raises_when_there_is_none(tmp_path, read):
    with pytest.raises(StoreError, match="missing or damaged"):
        read(tmp_path / "none.parquet")
