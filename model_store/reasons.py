"""Why the tasks at the head of a round's ranking stand there: what the admin's page tells.

Legend: m tasks in rank order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from model_store.project_folder import read_table, write_table


@dataclass(frozen=True, eq=False)
class TaskReasons:
    """Of m tasks, a column each.

    task_ids: (m,) int64.
    cluster_sizes: (m,) int64, tasks of the pool that each stands for.
    nearest_labeled: (m,) int64, the labeled task that looks most alike; -1 for none.
    similarities: (m,) float32 in [-1, 1], how alike; nan for none.
    anchors: (m,) int32, class whose mean it was mixed with; -1 for none.
    """

    task_ids: np.ndarray
    cluster_sizes: np.ndarray
    nearest_labeled: np.ndarray
    similarities: np.ndarray
    anchors: np.ndarray


def write_reasons(path: Path, reasons: TaskReasons) -> None:
    """Write reasons, whole or not at all. StoreError: the file cannot be written."""
    write_table(path, {column.name: getattr(reasons, column.name) for column in fields(reasons)})


def read_reasons(path: Path) -> TaskReasons:
    """Reasons that `write_reasons` wrote. StoreError: missing or damaged."""
    table = read_table(path)
    return TaskReasons(**{name: table[name].to_numpy() for name in table.column_names})
