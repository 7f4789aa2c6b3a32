"""A round's ranking of the whole pool: which task is served when, and why.

One file a round. The tasks at its head are published; the rest is the supply, published as people
come near.

Legend: N pool tasks in rank order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from model_store.project_folder import read_table, write_table


@dataclass(frozen=True, eq=False)
class Ranking:
    """The pool in rank order, a column each.

    task_ids: (N,) int64.
    clusters: (N,) int64, whose center a task is (near).
    labels, probabilities: (N,) int32 and float32, the class that the network gives and how surely;
        None before anything was trained.
    critical_epsilons: (N,) float32, the mix with other classes that flips the prediction; inf where
        none does. None where the strategy does not mix, like the next two.
    is_candidate: (N,) bool, whether that is within the round's epsilon.
    flips_to: (N,) int32, the class that the prediction flips to; its own where it never flips.
    is_drawn: (N,) bool, whether it was drawn at random to measure the head; None where none was.
    """

    task_ids: np.ndarray
    clusters: np.ndarray
    labels: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    critical_epsilons: np.ndarray | None = None
    is_candidate: np.ndarray | None = None
    flips_to: np.ndarray | None = None
    is_drawn: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.task_ids)

    def reordered(self, rows: np.ndarray) -> Ranking:
        """The same tasks in the order of (N,) row numbers."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self,
            **{name: column[rows] for name, column in columns.items() if column is not None},
        )


def write_ranking(path: Path, ranking: Ranking) -> None:
    """Write a ranking, whole or not at all. StoreError: the file cannot be written."""
    columns = {field.name: getattr(ranking, field.name) for field in fields(Ranking)}
    write_table(path, {name: column for name, column in columns.items() if column is not None})


def read_ranking(path: Path) -> Ranking:
    """A ranking that `write_ranking` wrote. StoreError: missing or damaged."""
    table = read_table(path)
    return Ranking(
        **{name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    )
