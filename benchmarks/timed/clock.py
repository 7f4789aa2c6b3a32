"""A project under a simulated clock: people label while rounds and networks are computed.

Each person takes the first task of the current ranking that nobody has, gives its label
`label_s` later, and takes the next. A round counts the labels there are when it begins. What
computes does not slow down what else computes. Equal arguments give equal points.

Legend: N pool images, L labeled so far, B budget.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import count

import numpy as np

from benchmarks.timed.desk import Desk, Embedded

# What happens first of what happens at the same second: whoever comes for a task after a flip of
# that second has one of the new ranking.
SUBMIT, TUNED, FLIP, MEASURE, TAKE = range(5)
LABELS, SECONDS = "labels", "seconds"


class Tuning(Enum):
    """When the network itself is trained: never, as a part of each round, or behind the queue."""

    NEVER = "never"
    IN_ROUND = "in round"
    BEHIND = "behind"


@dataclass(frozen=True)
class Policy:
    """How a project goes on.

    lookahead: the share of the budget that is worth a round, as ALFAMIX_LOOKAHEAD.
    waits: the batch is all there is; whoever comes after it waits for the next flip.
    is_eager: the first tuning behind the queue begins with the second class's first label, as
        `backend.loop.due` does; else with as many labels as a round.
    """

    lookahead: float = 1.0
    waits: bool = False
    tuning: Tuning = Tuning.NEVER
    is_eager: bool = True


@dataclass(frozen=True)
class Times:
    """Seconds that things take. people: who label, each a label in `label_s`."""

    people: int
    label_s: float
    round_s: float
    tuning_s: float = 0.0
    tuning_s_a_label: float = 0.0

    def of_tuning(self, n_labeled: int) -> float:
        """Seconds to train on L labels and embed the pool."""
        return self.tuning_s + self.tuning_s_a_label * n_labeled

    def until(self, n_labeled: int) -> float:
        """Seconds until L labels are given where nobody waits."""
        return self.label_s * (1 + (n_labeled - 1) / self.people)


@dataclass(frozen=True)
class Measured:
    """When accuracy is measured: at label counts, ascending, and at seconds."""

    at_labels: tuple[int, ...]
    at_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Point:
    """One measurement, by a head fitted on all labels and the newest embeddings at that time.

    axis, at: what was asked for, `labels` or `seconds`, and at how many.
    n_stale: labels given under a ranking when a newer one was begun.
    n_rounds, n_tunings: taken over so far; the cold start is round 1.
    """

    axis: str
    at: float
    n_labeled: int
    seconds: float
    accuracy: float
    n_stale: int
    n_rounds: int
    n_tunings: int


@dataclass(frozen=True, eq=False)
class _Round:
    """A ranking that people follow from its flip on. n_labeled: labels that it knows."""

    number: int
    n_labeled: int
    ranking: np.ndarray
    network: int
    embedded: Embedded


def timed_replay(desk: Desk, policy: Policy, times: Times, measured: Measured) -> Iterator[Point]:
    """The points asked for, as they come; fewer where the pool ends before them."""
    return _Clock(desk, policy, times, measured).run()


class _Clock:
    """Events in the order of their seconds."""

    def __init__(self, desk: Desk, policy: Policy, times: Times, measured: Measured) -> None:
        self._desk, self._policy, self._times = desk, policy, times
        self._at_labels = deque(measured.at_labels)
        self._wanted_points = len(measured.at_labels) + len(measured.at_seconds)
        self._wanted_labels = max(1, math.ceil(desk.budget * policy.lookahead))  # as due.Standing
        self._now, self._order = 0.0, count()
        self._events: list[tuple[float, int, int, Callable[[], None]]] = []
        self._labeled: list[int] = []
        self._taken: set[int] = set()
        self._idle: list[int] = []
        self._n_stale = self._begun = self._network = self._tuned_labels = 0
        self._is_round_computed = self._is_tuning = False
        self._newest = desk.networks.pretrained()
        self._points: list[Point] = []
        for second in measured.at_seconds:
            self._in(second, MEASURE, partial(self._measure, SECONDS, second))

    def run(self) -> Iterator[Point]:
        self._begin_round(0.0)
        step = self._times.label_s / self._times.people
        for person in range(self._times.people):
            self._in(person * step, TAKE, partial(self._take, person))
        found = 0
        while self._events and found < self._wanted_points:
            self._now, _kind, _order, happen = heapq.heappop(self._events)
            happen()
            found += len(self._points)
            yield from self._points
            self._points.clear()

    def _in(self, seconds: float, kind: int, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self._now + seconds, kind, next(self._order), happen))

    # People

    def _take(self, person: int) -> None:
        while self._queue and self._queue[0] in self._taken:
            self._queue.popleft()
        if not self._queue:
            self._idle.append(person)
            return
        row, under = self._queue.popleft(), self._published.number
        self._taken.add(row)
        self._in(self._times.label_s, SUBMIT, partial(self._submit, person, row, under))

    def _submit(self, person: int, row: int, under: int) -> None:
        self._labeled.append(row)
        self._n_stale += under < self._begun
        if self._at_labels and self._at_labels[0] == len(self._labeled):
            self._measure(LABELS, self._at_labels.popleft())
        self._look()
        self._in(0.0, TAKE, partial(self._take, person))

    # Rounds and tunings

    def _look(self) -> None:
        """Begin what is due."""
        if not self._is_round_computed and self._is_round_due():
            self._begin_round(self._times.round_s)
        if self._policy.tuning is Tuning.BEHIND and not self._is_tuning and self._is_tuning_due():
            self._begin_tuning()

    def _is_round_due(self) -> bool:
        if self._policy.tuning is Tuning.BEHIND and self._network > self._published.network:
            return True
        return len(self._labeled) - self._published.n_labeled >= self._wanted_labels

    def _is_tuning_due(self) -> bool:
        if self._tuned_labels == 0 and self._policy.is_eager:
            return self._desk.has_two_classes(np.array(self._labeled, np.int64))
        return len(self._labeled) - self._tuned_labels >= self._wanted_labels

    def _begin_round(self, seconds: float) -> None:
        self._begun += 1
        self._is_round_computed = True
        rows, embedded, head, network = self._rows(), self._newest, None, self._network
        if self._policy.tuning is Tuning.IN_ROUND and self._desk.has_two_classes(rows):
            embedded = self._desk.tune(rows, self._begun - 1)
            head, network = embedded.head, network + 1
            seconds += self._times.of_tuning(len(rows))
        ranking = self._desk.ranking(embedded, head, rows, self._begun)
        begun = _Round(self._begun, len(rows), ranking, network, embedded)
        self._in(seconds, FLIP, partial(self._flip, begun))

    def _flip(self, begun: _Round) -> None:
        self._published, self._is_round_computed = begun, False
        if self._policy.tuning is Tuning.IN_ROUND:
            self._newest, self._network = begun.embedded, begun.network
        ahead = begun.ranking[: self._desk.budget] if self._policy.waits else begun.ranking
        self._queue = deque(ahead.tolist())
        for person in self._idle:
            self._in(0.0, TAKE, partial(self._take, person))
        self._idle = []
        self._look()

    def _begin_tuning(self) -> None:
        self._is_tuning = True
        rows = self._rows()
        self._tuned_labels = len(rows)
        tuned = self._desk.tune(rows, self._network + 1)
        self._in(self._times.of_tuning(len(rows)), TUNED, partial(self._take_over, tuned))

    def _take_over(self, tuned: Embedded) -> None:
        self._newest, self._is_tuning = tuned, False
        self._network += 1
        self._look()

    # Measurements

    def _measure(self, axis: str, at: float) -> None:
        accuracy = self._desk.accuracy(self._newest, self._rows())
        counts = (self._n_stale, self._published.number, self._network)
        self._points.append(Point(axis, at, len(self._labeled), self._now, accuracy, *counts))

    def _rows(self) -> np.ndarray:
        return np.array(self._labeled, dtype=np.int64)
