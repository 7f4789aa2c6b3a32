"""Rows as arrays: per setting and strategy, accuracy by seed and round.

Legend: S seeds that every strategy of the setting has finished, R rounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.curves.rows import Row


@dataclass(frozen=True, eq=False)
class Curves:
    """One setting's results. select_s: median seconds of a selection, by strategy."""

    setting: str
    n_labeled: np.ndarray  # (R,)
    accuracy: Mapping[str, np.ndarray]  # strategy -> (S, R)
    select_s: Mapping[str, float]

    @property
    def seeds(self) -> int:
        """S."""
        return len(next(iter(self.accuracy.values())))

    def mean(self, strategy: str) -> float:
        """Return the mean accuracy over seeds and the rounds in which strategies can differ."""
        return float(self.compared(strategy).mean())

    def compared(self, strategy: str) -> np.ndarray:
        """Return (S, R'): without the first labels' round, which all strategies share."""
        accuracy = self.accuracy[strategy]
        return accuracy[:, 1:] if accuracy.shape[1] > 1 else accuracy


def curves_of(rows: Sequence[Row]) -> list[Curves]:
    """Return the settings in the file's order; a setting without a common seed is left out."""
    by_setting: dict[str, dict[tuple[str, int], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_setting[row.setting][row.strategy, row.seed].append(row)
    found = (_curves(setting, runs) for setting, runs in by_setting.items())
    return [curves for curves in found if curves is not None]


def _curves(setting: str, runs: Mapping[tuple[str, int], Sequence[Row]]) -> Curves | None:
    strategies = list(dict.fromkeys(strategy for strategy, _seed in runs))
    seeds = [{seed for strategy, seed in runs if strategy == wanted} for wanted in strategies]
    common = sorted(set.intersection(*seeds))
    if len(common) < 2:
        return None
    first = sorted(runs[strategies[0], common[0]], key=lambda row: row.round)
    accuracy = {
        strategy: np.array(
            [
                [row.accuracy for row in sorted(runs[strategy, seed], key=lambda row: row.round)]
                for seed in common
            ]
        )
        for strategy in strategies
    }
    seconds = {
        strategy: float(
            np.median(
                [row.select_s for seed in common for row in runs[strategy, seed] if row.select_s]
            )
        )
        for strategy in strategies
    }
    return Curves(setting, np.array([row.n_labeled for row in first]), accuracy, seconds)
