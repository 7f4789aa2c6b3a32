"""Who beats whom: the pairwise penalty matrix of BADGE and of the ALFA-Mix paper (Figure 4).

Entry (i, j) counts the cells, a cell being one round of one setting, in which strategy i beats j
by a two-sided paired t-test over the seeds, each cell worth 1 / R of its setting. A column's mean
is how much a strategy is beaten: lower is better.

Source: Ash et al., ICLR 2020, Section 4; Parvaneh et al., CVPR 2022, Section 4.2 (p < 0.05).
Deviation: the authors' script takes the standard deviation with ddof = 0 and compares t with 2.776
whatever the number of seeds; with five seeds that is p = .068. Ours has ddof = 1 and the quantile
of S - 1 degrees of freedom; theirs is computed beside it.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from backend.acquisition import strategy_names
from benchmarks.curves.tables import Curves, with_all

P_VALUE = 0.05
AUTHORS_T = 2.776


@dataclass(frozen=True)
class PairedTest:
    """ddof: of the standard deviation. critical_t: None for the quantile of S - 1 degrees."""

    ddof: int = 1
    critical_t: float | None = None

    def beats(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(R,) bool: whether `first` is significantly above `second`, both (S, R).

        Seeds that all agree on the same difference, not zero, are significant.
        """
        differences = first - second
        count = len(differences)
        error = differences.std(axis=0, ddof=self.ddof) / count**0.5
        critical = self.critical_t or stats.t.ppf(1 - P_VALUE / 2, count - 1)
        return differences.mean(axis=0) > critical * error


OURS = PairedTest()
AUTHORS = PairedTest(ddof=0, critical_t=AUTHORS_T)


@dataclass(frozen=True, eq=False)
class Penalties:
    """matrix[i, j]: settings' worth of rounds in which strategies[i] beats strategies[j]."""

    strategies: tuple[str, ...]
    matrix: np.ndarray
    setting_count: int

    def mean_penalty(self) -> np.ndarray:
        """The column means over the other strategies: how much each one is beaten."""
        others = max(1, len(self.strategies) - 1)
        return self.matrix.sum(axis=0) / others


def shared_strategies(curves: Sequence[Curves]) -> list[str]:
    """The strategies that all settings have, in the registry's order."""
    if not curves:
        return []
    shared = set.intersection(*(set(found.accuracy) for found in curves))
    return [name for name in strategy_names() if name in shared]


def penalties(
    curves: Sequence[Curves], strategies: Sequence[str], test: PairedTest = OURS
) -> Penalties:
    """The matrix over all settings that have all the strategies."""
    size = len(strategies)
    matrix = np.zeros((size, size))
    complete = with_all(curves, *strategies)
    for found in complete:
        for i, winner in enumerate(strategies):
            for j, loser in enumerate(strategies):
                if i != j:
                    won = test.beats(found.compared(winner), found.compared(loser))
                    matrix[i, j] += won.mean()
    return Penalties(tuple(strategies), matrix, len(complete))


@dataclass(frozen=True)
class Cells:
    """Of `total` (setting, opponent, round) cells: in how many a strategy wins, or is beaten."""

    won: int
    lost: int
    total: int


def cells(
    curves: Sequence[Curves], strategy: str, opponents: Sequence[str], test: PairedTest = OURS
) -> Cells:
    """How often `strategy` is significantly above and below `opponents`."""
    won = lost = total = 0
    for opponent in opponents:
        if opponent != strategy:
            for found in with_all(curves, strategy, opponent):
                mine, theirs = found.compared(strategy), found.compared(opponent)
                won += int(test.beats(mine, theirs).sum())
                lost += int(test.beats(theirs, mine).sum())
                total += mine.shape[1]
    return Cells(won, lost, total)
