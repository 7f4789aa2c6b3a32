"""What the pages show. Each type that names a template is all that the template is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Progress:
    """What is done for a project at the moment.

    percent: None where nobody knows how much there is. time_left: in words, "" for unknown.
    """

    phase: str
    percent: int | None
    time_left: str
    behind: str
    behind_percent: int | None
    behind_time_left: str
    labeled: int
    total: int
    round_number: int | None
    error: str
    is_busy: bool
    is_paused: bool


@dataclass(frozen=True)
class TaskState:
    """What became of a task of the batch: "labeled" (with its label), "skipped" or "open"."""

    state: str
    words: str
    label: str


@dataclass(frozen=True)
class ProjectProgress(Progress):
    """The same of one project, with what else of its page changes while somebody looks.

    tasks: of the part of the batch that is shown, by id. backtest: what the backtest that was asked
    for is at, "" for none. backtest_ended: when the last one did, in words.
    """

    batch_done: int
    batch_total: int
    tasks: Mapping[int, TaskState]
    backtest: str
    backtest_percent: int | None
    backtest_error: str
    backtest_ended: str


@dataclass(frozen=True)
class ProjectCard:
    """One project among all."""

    project_id: int
    title: str
    is_connected: bool
    label_studio_url: str
    progress: Progress


@dataclass(frozen=True)
class HomePage:
    """All projects, or how to connect the first one."""

    TEMPLATE: ClassVar = "home.html"
    cards: Sequence[ProjectCard]
    backend_url: str
    label_studio_url: str
    warnings: Sequence[str]


@dataclass(frozen=True)
class BatchTask:
    """One task of the batch. place: from 1 on."""

    place: int
    task_id: int
    task_url: str
    thumbnail_url: str
    predicted: str
    probability: str
    now: TaskState
    reasons: Sequence[str]
    nearest_labeled: int | None
    nearest_url: str
    similarity: str


@dataclass(frozen=True)
class Batch:
    """A part of this batch. start: place of its first task, from 0 on.

    asked: how many tasks that the admin put first wait for a label, in this batch or not. before,
    after: places where the parts beside it start.
    """

    tasks: Sequence[BatchTask]
    start: int
    total: int
    asked: int
    before: int | None
    after: int | None


@dataclass(frozen=True)
class ClassShare:
    """Labels of one class. share: of the most frequent one, in percent."""

    name: str
    count: int
    share: int


@dataclass(frozen=True)
class RoundRow:
    """One round. download: name of the route's file, "" where it is not kept."""

    number: int
    reason: str
    strategy: str
    labels: int
    pool: int
    started: str
    seconds: Sequence[tuple[str, str]]
    total_s: str
    settings: Sequence[tuple[str, str]]
    statistics: Sequence[tuple[str, str]]
    download: str


@dataclass(frozen=True)
class NetworkRow:
    """One fine-tuned network."""

    number: int
    phase: str
    labels: int
    started: str
    total_s: str
    statistics: Sequence[tuple[str, str]]
    download: str


@dataclass(frozen=True)
class UnreadableRow:
    """One task whose image cannot be had, and why."""

    task_id: int
    task_url: str
    uri: str
    reason: str


@dataclass(frozen=True)
class SettingField:
    """A setting that the project may have for itself. choices: () for any text."""

    name: str
    title: str
    variable: str
    help: str
    own: str
    default: str
    choices: Sequence[str]
    error: str


@dataclass(frozen=True)
class Backtest:
    """What the last backtest said.

    verdict: its sentence about the project's strategy, "" where it was not replayed.
    """

    verdict: str
    report: str
    has_picture: bool


@dataclass(frozen=True)
class ProjectPage:
    """One project. said: what came of the button that was pressed."""

    TEMPLATE: ClassVar = "project.html"
    project_id: int
    said: Sequence[str]
    title: str
    is_connected: bool
    label_studio_url: str
    model_version: str
    progress: ProjectProgress
    batch: Batch
    balance: Sequence[ClassShare]
    has_map: bool
    backtest: Backtest
    rounds: Sequence[RoundRow]
    networks: Sequence[NetworkRow]
    unreadable: Sequence[UnreadableRow]
    unreadable_total: int
    settings: Sequence[SettingField]
    csrf_token: str


@dataclass(frozen=True)
class ConfirmPage:
    """A question before something is changed."""

    TEMPLATE: ClassVar = "confirm.html"
    project_id: int
    title: str
    question: str
    explanation: str
    button: str
    action: str
    csrf_token: str


@dataclass(frozen=True)
class OnwardPage:
    """Leads to a page of Label Studio's.

    A form may not be answered with a redirect there: the policy of the pages covers where it ends.
    """

    TEMPLATE: ClassVar = "onward.html"
    url: str


@dataclass(frozen=True)
class ErrorPage:
    """Why there is no page."""

    TEMPLATE: ClassVar = "error.html"
    heading: str
    message: str


@dataclass(frozen=True)
class FindingsFragment:
    """What the doctor found; `is_ready` is False while it looks."""

    TEMPLATE: ClassVar = "findings.html"
    findings: Sequence[Mapping[str, str]]
    is_ready: bool


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy in percent at a number of labels, and its interval."""

    labels: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ConfusedPair:
    """How often tasks of one class were taken for another."""

    class_name: str
    taken_for: str
    count: int


@dataclass(frozen=True)
class RecallRow:
    """The share of a class that was recognized; "" where none was drawn."""

    class_name: str
    recall: str


@dataclass(frozen=True)
class SurenessRow:
    """A bar of the reliability diagram: tasks it was about as sure of, and how many were right.

    sure, right: in percent. interval: of `right`, in words.
    """

    count: int
    sure: int
    right: int
    interval: str


@dataclass(frozen=True)
class Calibration:
    """Whether 80 % sure means right in 80 of 100, in words and bar by bar."""

    words: str
    rows: Sequence[SurenessRow]


@dataclass(frozen=True)
class QualityFragment:
    """How good the model is. is_drawn: whether tasks are drawn at random to measure it.

    curve: over all rounds, to one batch ahead. rounds: each by itself. random: what random choice
    reached in the last backtest, and from which to which run. kept: how many of how many tasks of
    this batch, and in percent with the interval, were labeled as pre-selected; "" where nothing was
    shown. curve_level, level: of the intervals
    of the curve and of all others, in percent. newest: from which tasks the rest comes. matrix: row
    by row the tasks of a class, by what they were taken for; empty where the classes are many.
    calibration: None where too little is measured.
    """

    TEMPLATE: ClassVar = "quality.html"
    measured: int
    accuracy: str
    is_drawn: bool
    advice: str
    curve: Sequence[CurvePoint]
    rounds: Sequence[CurvePoint]
    random: Sequence[CurvePoint]
    kept: str
    curve_level: int
    level: int
    newest: str
    pairs: Sequence[ConfusedPair]
    pairs_total: int
    recalls: Sequence[RecallRow]
    matrix: Sequence[Sequence[int]]
    classes: Sequence[str]
    calibration: Calibration | None


@dataclass(frozen=True)
class AccuracyFragment:
    """The same in a line. saved: what a backtest said, "" where none has run."""

    TEMPLATE: ClassVar = "accuracy.html"
    measured: int
    accuracy: str
    is_drawn: bool
    saved: str


PAGES = (
    *(HomePage, ProjectPage, ConfirmPage, OnwardPage, ErrorPage),
    *(FindingsFragment, QualityFragment, AccuracyFragment),
)
