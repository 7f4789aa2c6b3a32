"""The rows of a backtest, as a file that grows and as learning curves.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.replay import Round

COLUMNS = ("strategy", "seed", "round", "n_labeled", "accuracy", "train_s", "select_s")


@dataclass(frozen=True)
class Row:
    """One measurement of one replayed round."""

    strategy: str
    seed: int
    round: Round


@dataclass(frozen=True, eq=False)
class Curves:
    """One strategy's learning curves; the label counts are the same for every seed."""

    n_labeled: np.ndarray  # (R,) int64, rising
    accuracy: np.ndarray  # (S, R) in [0, 1]; seeds in the same order for every strategy


def written(rows: Iterable[Row], path: Path) -> Iterator[Row]:
    """The rows, each once it is in the CSV file: a run that is stopped leaves what it has."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow(_cells(row))
            file.flush()
            yield row


def curves_of(rows: Iterable[Row]) -> dict[str, Curves]:
    """The curves by strategy, in the order of their first rows."""
    found: dict[str, dict[int, list[Round]]] = {}
    for row in rows:
        found.setdefault(row.strategy, {}).setdefault(row.seed, []).append(row.round)
    return {strategy: _curves(list(runs.values())) for strategy, runs in found.items()}


def _curves(runs: list[list[Round]]) -> Curves:
    return Curves(
        n_labeled=np.array([round.n_labeled for round in runs[0]]),
        accuracy=np.array([[round.accuracy for round in run] for run in runs]),
    )


def _cells(row: Row) -> dict[str, object]:
    cells = asdict(row.round)
    return {
        "strategy": row.strategy,
        "seed": row.seed,
        "round": cells["number"],
        "n_labeled": cells["n_labeled"],
        "accuracy": f"{row.round.accuracy:.6f}",
        "train_s": f"{row.round.train_s:.3f}",
        "select_s": f"{row.round.select_s:.3f}",
    }
