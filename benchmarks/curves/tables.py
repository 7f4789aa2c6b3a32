"""Rows as arrays: per setting and strategy, accuracy by seed and round.

Legend: S seeds that every strategy of the setting has finished, R rounds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.curves.data import DataError
from benchmarks.curves.rows import Row

RANDOM = "random"  # what all others are compared with


@dataclass(frozen=True, eq=False)
class Curves:
    """One setting's results, random's among them.

    select_s: median seconds of a selection, by strategy.
    rare, foreign: labels of rare classes, and images of no class that people were shown, by
        strategy: means over the seeds after the last round.
    is_cold: nothing was labeled before the first choice: the strategies share no round.
    """

    setting: str
    n_labeled: np.ndarray  # (R,)
    accuracy: Mapping[str, np.ndarray]  # strategy -> (S, R)
    select_s: Mapping[str, float]
    rare: Mapping[str, float] = field(default_factory=dict)
    foreign: Mapping[str, float] = field(default_factory=dict)
    is_cold: bool = False

    @property
    def seeds(self) -> int:
        """S."""
        return len(next(iter(self.accuracy.values())))

    def mean(self, strategy: str) -> float:
        """The mean accuracy over seeds and the rounds in which strategies can differ."""
        return float(self.compared(strategy).mean())

    def compared(self, strategy: str) -> np.ndarray:
        """(S, R'): without the first labels' round, which all strategies share."""
        accuracy = self.accuracy[strategy]
        return accuracy if self.is_cold else accuracy[:, 1:]


Runs = Mapping[tuple[str, int], Sequence[Row]]  # (strategy, seed) -> its rows, by round


def curves_of(rows: Sequence[Row]) -> list[Curves]:
    """The settings in the file's order, without those that `unfinished` names.

    DataError: a run's rounds are not those of the others; says which.
    """
    return [
        _curves(setting, runs)
        for setting, runs in _runs_by_setting(rows).items()
        if _is_comparable(runs)
    ]


def unfinished(rows: Sequence[Row]) -> list[str]:
    """The settings without random, or without two seeds that all strategies finished."""
    return [name for name, runs in _runs_by_setting(rows).items() if not _is_comparable(runs)]


def only(rows: Sequence[Row], *strategies: str) -> list[Row]:
    """The rows of some strategies, and random's: over more seeds than all have."""
    return [row for row in rows if row.strategy in (*strategies, RANDOM)]


def with_all(curves: Sequence[Curves], *strategies: str) -> list[Curves]:
    """The settings in which all of `strategies` were run."""
    return [found for found in curves if set(strategies) <= set(found.accuracy)]


def _runs_by_setting(rows: Sequence[Row]) -> dict[str, Runs]:
    found: dict[str, dict[tuple[str, int], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row.round):
        found[row.setting][row.strategy, row.seed].append(row)
    return {setting: found[setting] for setting in dict.fromkeys(row.setting for row in rows)}


def _is_comparable(runs: Runs) -> bool:
    return RANDOM in _strategies(runs) and len(_common_seeds(runs)) > 1


def _strategies(runs: Runs) -> list[str]:
    return list(dict.fromkeys(strategy for strategy, _seed in runs))


def _common_seeds(runs: Runs) -> list[int]:
    seeds = [{seed for name, seed in runs if name == wanted} for wanted in _strategies(runs)]
    return sorted(set.intersection(*seeds))


def _curves(setting: str, runs: Runs) -> Curves:
    strategies, seeds = _strategies(runs), _common_seeds(runs)
    first = runs[RANDOM, seeds[0]]
    counts = [row.n_labeled for row in first]
    for (strategy, seed), run in runs.items():
        _check_rounds(setting, strategy, seed, [row.n_labeled for row in run], counts)
    accuracy = {
        name: np.array([[row.accuracy for row in runs[name, seed]] for seed in seeds])
        for name in strategies
    }
    seconds = {
        name: float(
            np.median([row.select_s for seed in seeds for row in runs[name, seed] if row.round])
        )
        for name in strategies
    }
    last = {name: [runs[name, seed][-1] for seed in seeds] for name in strategies}
    rare = {name: float(np.mean([row.n_rare for row in rows])) for name, rows in last.items()}
    foreign = {name: float(np.mean([row.n_foreign for row in rows])) for name, rows in last.items()}
    return Curves(
        setting, np.array(counts), accuracy, seconds, rare, foreign, is_cold=first[0].round > 0
    )


def _check_rounds(
    setting: str, strategy: str, seed: int, found: Sequence[int], needed: Sequence[int]
) -> None:
    if found != needed:
        raise DataError(
            f"{setting}: {strategy} with seed {seed} has rows at {_listed(found)} labels, random "
            f"at {_listed(needed)}; remove the wrong run's rows, and it is computed again"
        )


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))
