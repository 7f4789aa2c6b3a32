"""Whether more labels pay: what the next ones bring, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from backend.evaluation.intervals import Estimate
from backend.evaluation.learning_curve import LearningCurve

# With fewer the prior speaks louder than what was measured.
LEAST_MEASURED = 30
LEAST_ROUNDS = 3


class Verdict(Enum):
    """What an admin is told."""

    UNKNOWN = "too little is measured yet"
    GO_ON = "go on"
    STOP = "more labels hardly pay"


@dataclass(frozen=True)
class Advice:
    """What `more` labels bring: `gain` in points of accuracy, None where it is not known.

    words: the same in a sentence.
    """

    verdict: Verdict
    more: int
    gain: Estimate | None
    words: str


def advise(curve: LearningCurve | None, n_labeled: int, more: int, stop_gain: float) -> Advice:
    """The advice for a project with so many labels; curve: None before anything was measured.

    more: 0 where no task is left. stop_gain: points of accuracy. STOP only there, or where even the
    upper end of the gain's interval is below.
    """
    if curve is not None and n_labeled < curve.fewest:
        words = (
            f"Labels were removed: {n_labeled} are left, and it was measured on {curve.fewest} and "
            "more. It is measured again with the next batch."
        )
        return Advice(Verdict.UNKNOWN, more, None, words)
    if curve is None or not _is_enough(curve):
        measured = 0 if curve is None else curve.total
        words = (
            f"{measured} labels of tasks drawn at random so far; from {LEAST_MEASURED}, out of "
            f"{LEAST_ROUNDS} rounds, it can be told what more labels bring."
        )
        return Advice(Verdict.UNKNOWN, more, None, words)
    if more == 0:
        return Advice(Verdict.STOP, more, None, "No task is left to label.")
    found = curve.gain(n_labeled, more)
    points = Estimate(100 * found.value, 100 * found.low, 100 * found.high, found.level)
    verdict = Verdict.STOP if points.high < stop_gain else Verdict.GO_ON
    words = (
        f"{more} more labels: {points.value:+.1f} points "
        f"({100 * points.level:.0f} % interval {points.low:.1f} to {points.high:.1f})."
    )
    if verdict is Verdict.STOP:
        words += f" That is less than {stop_gain:g} points: more labels hardly pay."
    return Advice(verdict, more, points, words)


def _is_enough(curve: LearningCurve) -> bool:
    return curve.total >= LEAST_MEASURED and len(curve.measured) >= LEAST_ROUNDS
