"""What one setting's curves say about each strategy, beside random and beside ALFA-Mix.

Legend: S seeds, R rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.replay import Interval, interval, labels_needed
from benchmarks.curves.tables import Curves

RANDOM = "random"
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
        """Return wins, ties or loses against random, by the 95 % interval of the gain."""
        if self.gain.has_zero:
            return "ties"
        return "wins" if self.gain.mean > 0 else "loses"


def verdicts(curves: Curves) -> list[Verdict]:
    """Return the strategies of a setting, best mean accuracy first; random must be among them."""
    found = [_verdict(curves, strategy) for strategy in curves.accuracy]
    return sorted(found, key=lambda verdict: -verdict.mean)


def gain(curves: Curves, strategy: str, opponent: str) -> Interval:
    """Return the paired difference of the mean accuracies."""
    mine, theirs = (curves.compared(name).mean(axis=1) for name in (strategy, opponent))
    return interval(mine - theirs)


def _verdict(curves: Curves, strategy: str) -> Verdict:
    mean_curve = curves.accuracy[strategy].mean(axis=0)
    return Verdict(
        strategy,
        curves.mean(strategy),
        float(mean_curve[-1]),
        gain(curves, strategy, RANDOM),
        tuple(_label_share(curves, mean_curve, share) for share in TARGET_SHARES),
    )


def _label_share(curves: Curves, mean_curve: np.ndarray, share: float) -> float | None:
    random_curve = curves.accuracy[RANDOM].mean(axis=0)
    target = share * random_curve[-1]
    needed = labels_needed(curves.n_labeled, mean_curve, target)
    randoms = labels_needed(curves.n_labeled, random_curve, target)
    return None if needed is None else needed / randoms


def counted(curves: Sequence[Curves], strategy: str, opponent: str) -> dict[str, list[str]]:
    """Return the settings in which `strategy` wins, ties and loses against `opponent`."""
    found: dict[str, list[str]] = {"wins": [], "ties": [], "loses": []}
    for one in curves:
        difference = gain(one, strategy, opponent)
        word = "ties" if difference.has_zero else "wins" if difference.mean > 0 else "loses"
        found[word].append(one.setting)
    return found
