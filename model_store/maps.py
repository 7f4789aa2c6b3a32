"""The pool in two dimensions, as a round saw it: what the admin's page draws.

Legend: n tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_store.project_folder import read_table, write_table


@dataclass(frozen=True, eq=False)
class PoolMap:
    """Some tasks of a project and where each lies; near means alike.

    task_ids: (n,) int64. points: (n, 2) float32. tuning: the number of the network whose embeddings
    they are. kind: the projection, `pca` or `umap`.
    """

    task_ids: np.ndarray
    points: np.ndarray
    tuning: int
    kind: str

    @classmethod
    def nothing(cls) -> PoolMap:
        """A map without a task."""
        return cls(np.empty(0, dtype=np.int64), np.empty((0, 2), dtype=np.float32), 0, "pca")


def write_map(path: Path, found: PoolMap) -> None:
    """Write a map, whole or not at all. StoreError: the file cannot be written."""
    count = len(found.task_ids)
    columns: dict[str, np.ndarray | list] = {
        "task_id": found.task_ids,
        "x": found.points[:, 0],
        "y": found.points[:, 1],
        "tuning": np.full(count, found.tuning, dtype=np.int64),
        "kind": [found.kind] * count,
    }
    write_table(path, columns)


def read_map(path: Path) -> PoolMap:
    """A map that `write_map` wrote. StoreError: missing or damaged."""
    table = read_table(path)
    if len(table) == 0:
        return PoolMap.nothing()
    points = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    tuning, kind = (table[name][0].as_py() for name in ("tuning", "kind"))
    return PoolMap(table["task_id"].to_numpy(), points, tuning, kind)
