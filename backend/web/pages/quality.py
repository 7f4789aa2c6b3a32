"""How good the model is, from the tasks that were drawn at random to measure it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import numpy as np

from backend.evaluation import (
    Estimate,
    LearningCurve,
    Measurement,
    Verdict,
    advise,
    confusion,
    gathered,
    intervals,
    learning_curve,
    recalls,
    reliability,
    share,
    temperature,
)
from backend.settings import Settings
from backend.web.pages.backtest import random_curve
from backend.web.pages.contexts import (
    Calibration,
    ConfusedPair,
    CurvePoint,
    QualityFragment,
    RecallRow,
    SurenessRow,
)
from backend.web.pages.project import TITLES
from model_store.audits import AuditedTask, MeasuredRound
from model_store.journal import Journal, ProjectState, RoundState
from model_store.overview import Kept
from model_store.project_folder import ProjectFolder

CURVE_POINTS = 24
SHOWN_PAIRS = 12
# A matrix of more classes is no help to the eye: the pairs are.
MATRIX_CLASSES = 12
MAX_KEPT = 256
# What is confused and how sure it is are read from the newest rounds with so many measured tasks:
# fewer leave wide intervals, older ones speak of heads that nobody uses any more. Of whole rounds,
# as the tasks of a class often have ids side by side.
NEWEST_TASKS = 200
# Fewer tasks say nothing of calibration.
CALIBRATED_FROM = 30


@dataclass
class Qualities:
    """The fragments, made anew where a label came; safe to call from several threads."""

    _kept: dict[str, tuple[tuple, QualityFragment]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(
        self, settings: Settings, journal: Journal, state: ProjectState, folder: ProjectFolder
    ) -> QualityFragment:
        """How good the model of a project is."""
        published = journal.published_round(state.key)
        drawn = journal.audits.count(state.key)
        own_settings = tuple(sorted(state.own_settings.items()))
        follows = None if published is None else (published.number, tuple(published.classes))
        counts = (drawn, state.label_changes, state.labeled, state.pool)
        stamp = (counts, follows, own_settings, state.backtest_at)
        with self._lock:
            kept = self._kept.get(state.key)
            if kept is None or kept[0] != stamp:
                if len(self._kept) >= MAX_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                own = settings.of_project(state.own_settings)
                rounds = journal.audits.measured_rounds(state.key)
                newest = _newest(journal, state.key, rounds)
                random, agreed = random_curve(folder), _agreed(journal, published)
                kept = (stamp, quality(own, state, published, rounds, newest, random, agreed))
                self._kept[state.key] = kept
            return kept[1]


def quality(
    settings: Settings,
    state: ProjectState,
    published: RoundState | None,
    measured: Sequence[MeasuredRound],
    newest: Sequence[AuditedTask],
    random: Sequence[CurvePoint],
    agreed: Kept | None,
) -> QualityFragment:
    """What the measured tasks say of a project with as many labels as it has now.

    newest: the measured tasks of the newest rounds. random: the curve of a backtest, drawn beside
    the project's own. agreed: what became of this batch's pre-selections, None where it has none.
    """
    classes = list(published.classes) if published else []
    n_labeled = state.labeled
    more = min(settings.labels_a_round(max(1, len(classes))), state.pool)
    outcomes = [Measurement(one.n_labeled, one.right, one.total) for one in measured]
    curve = LearningCurve(gathered(outcomes)) if outcomes else None
    counts, found = _confused(classes, newest)
    return QualityFragment(
        measured=0 if curve is None else curve.total,
        accuracy=_accuracy(curve, n_labeled),
        is_drawn=settings.audit > 0,
        advice=_advice(settings, curve, n_labeled, more),
        curve=[] if curve is None else _points(curve, n_labeled, more),
        rounds=[] if curve is None else _measured_rounds(curve),
        random=random,
        kept=_kept_words(agreed),
        curve_level=round(100 * learning_curve.LEVEL),
        level=round(100 * intervals.LEVEL),
        newest=_rounds_words(newest),
        pairs=_pairs(classes, counts),
        pairs_total=int(np.count_nonzero(counts) - np.count_nonzero(np.diag(counts))),
        recalls=[
            RecallRow(name, estimate_words(one)) for name, one in zip(classes, found, strict=True)
        ],
        matrix=counts.tolist() if newest and len(classes) <= MATRIX_CLASSES else [],
        classes=classes,
        calibration=calibration(classes, newest),
    )


def calibration(classes: Sequence[str], audited: Sequence[AuditedTask]) -> Calibration | None:
    """Whether probabilities mean what they say, of draws from among today's classes."""
    row_of = {name: row for row, name in enumerate(classes)}
    known = [
        one
        for one in audited
        if one.class_name in row_of and one.draw.probabilities.keys() == row_of.keys()
    ]
    if len(known) < CALIBRATED_FROM:
        return None
    given = np.array([[one.draw.probabilities[name] for name in classes] for one in known])
    labels = np.array([row_of[one.class_name or ""] for one in known])
    bins = reliability(given.max(1), given.argmax(1) == labels)
    return Calibration(
        _calibration_words(temperature(given, labels)),
        [
            SurenessRow(
                one.count,
                round(100 * one.probability),
                round(100 * one.right.value),
                estimate_words(one.right),
            )
            for one in bins
        ],
    )


def _newest(journal: Journal, key: str, measured: Sequence[MeasuredRound]) -> Sequence[AuditedTask]:
    """The measured tasks of the newest rounds that have NEWEST_TASKS of them, or of all."""
    since, total = 0, 0
    for one in reversed(measured):
        since, total = one.number, total + one.total
        if total >= NEWEST_TASKS:
            break
    return [one for one in journal.audits.of(key, since) if one.is_measured]


def _agreed(journal: Journal, published: RoundState | None) -> Kept | None:
    if published is None or published.settings.get("preselect") == str(False):
        return None
    return journal.overview.kept(published.key, published.number)


def _kept_words(agreed: Kept | None) -> str:
    """How often people kept what they were shown; "" where nobody was shown anything."""
    if agreed is None or not agreed.total:
        return ""
    interval = estimate_words(share(agreed.kept, agreed.total))
    return f"{agreed.kept} of {agreed.total}: {interval}"


def _calibration_words(temperature: Estimate) -> str:
    """What the probabilities are, where chance alone hardly explains it."""
    said = "Nothing says that its probabilities are wrong"
    if temperature.low > 1:
        said = "Its probabilities are too sure"
    elif temperature.high < 1:
        said = "Its probabilities are too shy"
    value, low, high = temperature.value, temperature.low, temperature.high
    level = 100 * temperature.level
    return f"{said}: temperature {value:.2f} ({level:.0f} % interval {low:.2f} to {high:.2f})."


def estimate_words(estimate: Estimate | None) -> str:
    """A share and its interval, in percent, as tables show it; "" for none."""
    if estimate is None:
        return ""
    value, low, high = (100 * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _rounds_words(newest: Sequence[AuditedTask]) -> str:
    """Which rounds drew the newest measured tasks; "" where there are none."""
    if not newest:
        return ""
    first, last = newest[0].number, newest[-1].number
    rounds = f"round {last}" if first == last else f"rounds {first} to {last}"
    return f"{len(newest)} tasks of {rounds}"


def _advice(settings: Settings, curve: LearningCurve | None, n_labeled: int, more: int) -> str:
    found = advise(curve, n_labeled, more, settings.stop_gain)
    if found.verdict is Verdict.UNKNOWN and settings.audit == 0:
        return (
            f"No task is drawn at random to measure it: {TITLES['audit']} "
            f"({Settings.variable('audit')}) is 0."
        )
    return found.words


def _accuracy(curve: LearningCurve | None, n_labeled: int) -> str:
    if curve is None or n_labeled < curve.fewest:
        return ""
    found = curve.accuracy_at(n_labeled)
    value, low, high, level = (100 * part for part in astuple(found))
    return f"{value:.1f} % ({level:.0f} % interval {low:.1f} to {high:.1f})"


def _points(curve: LearningCurve, n_labeled: int, more: int) -> list[CurvePoint]:
    """The curve from its first measurement to a batch from now, or to the last one.

    The last one where so few labels are left that the curve says nothing of them.
    """
    last = n_labeled + more if n_labeled >= curve.fewest else curve.measured[-1].n_labeled
    at = np.unique(np.linspace(curve.fewest, last, CURVE_POINTS).round())
    return [_point(int(labels), curve.accuracy_at(float(labels))) for labels in at]


def _measured_rounds(curve: LearningCurve) -> list[CurvePoint]:
    found = [(one.n_labeled, share(one.right, one.total)) for one in curve.measured]
    return [_point(labels, estimate) for labels, estimate in found if estimate is not None]


def _point(labels: int, estimate: Estimate) -> CurvePoint:
    value, low, high = (
        round(100 * part, 2) for part in (estimate.value, estimate.low, estimate.high)
    )
    return CurvePoint(labels, value, low, high)


def _confused(
    classes: Sequence[str], audited: Sequence[AuditedTask]
) -> tuple[np.ndarray, list[Estimate | None]]:
    """(K, K) counts and K recalls, of the tasks whose classes are still asked for."""
    row_of = {name: row for row, name in enumerate(classes)}
    known = [
        (row_of[one.class_name], row_of[one.draw.predicted])
        for one in audited
        if one.class_name in row_of and one.draw.predicted in row_of
    ]
    labels, predicted = np.array(known, dtype=np.int64).reshape(-1, 2).T
    counts = confusion(labels, predicted, len(classes))
    return counts, recalls(counts)


def _pairs(classes: Sequence[str], counts: np.ndarray) -> list[ConfusedPair]:
    """What was most often taken for something else."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    rows, columns = np.nonzero(wrong)
    found = [
        ConfusedPair(classes[row], classes[column], int(wrong[row, column]))
        for row, column in zip(rows, columns, strict=True)
    ]
    return sorted(found, key=lambda pair: -pair.count)[:SHOWN_PAIRS]
