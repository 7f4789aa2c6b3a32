"""What one setting's curves say about each strategy, beside random and beside ALFA-Mix.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.replay import Interval, interval, labels_needed
from benchmarks.curves.tables import RANDOM, Curves, with_all

PAPER_BASELINES = (
    "random",
    "entropy",
    "bald",
    "core-set",
    "deepfool",
    "gcnal",
    "badge",
    "cdal",
)
# Shares of the accuracy that random ends with, which the labels are counted for.
TARGET_SHARES = (0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Verdict:
    """One strategy in one setting.

    mean, last: accuracy over the compared rounds, and in the last one.
    gain: of the mean accuracy over random's, paired over the seeds.
    labels: for each of TARGET_SHARES the labels needed, as a share of random's; None: never.
    """

    strategy: str
    mean: float
    last: float
    gain: Interval
    labels: tuple[float | None, ...]

    @property
    def word(self) -> str:
        """Wins, ties or loses against random, by the 95 % interval of the gain."""
        return _word(self.gain)


def verdicts(curves: Curves) -> list[Verdict]:
    """The strategies of a setting, best mean accuracy first."""
    found = [_verdict(curves, strategy) for strategy in curves.accuracy]
    return sorted(found, key=lambda verdict: -verdict.mean)


def gain(curves: Curves, strategy: str, opponent: str) -> Interval:
    """The paired difference of the mean accuracies."""
    mine, theirs = (curves.compared(name).mean(axis=1) for name in (strategy, opponent))
    return interval(mine - theirs)


def gain_over_all(curves: Sequence[Curves], strategy: str, opponent: str) -> Interval:
    """The paired difference of the mean accuracies over the seeds of all settings together."""
    both = with_all(curves, strategy, opponent)
    mine, theirs = (
        np.concatenate([one.compared(name).mean(axis=1) for one in both])
        for name in (strategy, opponent)
    )
    return interval(mine - theirs)


def label_share(curves: Curves, strategy: str, share: float) -> float | None:
    """The labels for `share` of the accuracy random ends with, as a share of random's.

    Of the mean curves. None: never within the rounds. 1 also where the first labels, which all
    strategies have in common, are enough.
    """
    mine, randoms = (curves.accuracy[name].mean(axis=0) for name in (strategy, RANDOM))
    return share_of_labels(curves.n_labeled, mine, randoms, share * randoms[-1])


def share_of_labels(
    n_labeled: np.ndarray, mine: np.ndarray, randoms: np.ndarray, target: float
) -> float | None:
    """The labels with which the curve `mine (R,)` reaches `target`, as a share of `randoms (R,)`'s.

    None: it never does. randoms reaches it.
    """
    if mine.max() < target:
        return None
    needed, randoms_needed = (labels_needed(n_labeled, one, target) for one in (mine, randoms))
    return needed / randoms_needed


def _verdict(curves: Curves, strategy: str) -> Verdict:
    return Verdict(
        strategy,
        curves.mean(strategy),
        float(curves.accuracy[strategy][:, -1].mean()),
        gain(curves, strategy, RANDOM),
        tuple(label_share(curves, strategy, share) for share in TARGET_SHARES),
    )


def counted(curves: Sequence[Curves], strategy: str, opponent: str) -> dict[str, list[str]]:
    """The settings, of those with both, in which `strategy` wins, ties and loses."""
    found: dict[str, list[str]] = {"wins": [], "ties": [], "loses": []}
    for one in with_all(curves, strategy, opponent):
        found[_word(gain(one, strategy, opponent))].append(one.setting)
    return found


def _word(difference: Interval) -> str:
    if difference.has_zero:
        return "ties"
    return "wins" if difference.mean > 0 else "loses"
