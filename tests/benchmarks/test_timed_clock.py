"""The clock with a desk whose rankings are known and that remembers what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from backend.acquisition import Rule
from backend.loop.due import Standing
from backend.replay import Fit, Plan, Truth, replay
from backend.vision import LinearHead
from benchmarks.timed.clock import LABELS, SECONDS, Measured, Point, Policy, Times, Tuning
from benchmarks.timed.clock import timed_replay as timed
from benchmarks.timed.desk import Desk, Embedded

POOL = 40
BOTH = Times(people=1, label_s=1.0, round_s=0.0)
HEAD = LinearHead(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))


@dataclass
class KnownDesk:
    """Ranks upward in odd rounds, downward in even ones; row numbers alternate two classes.

    A network is (its number,) in place of embeddings; an accuracy is that number.
    """

    budget: int = 4
    asked: list[tuple[int, int, list[int]]] = field(default_factory=list)  # round, network, rows
    tuned: list[int] = field(default_factory=list)  # L of each
    heads: list[LinearHead | None] = field(default_factory=list)

    @property
    def networks(self) -> SimpleNamespace:
        return SimpleNamespace(pretrained=lambda: _network(0))

    def tune(self, rows: np.ndarray, number: int) -> Embedded:
        self.tuned.append(len(rows))
        return _network(number, HEAD)

    def has_two_classes(self, rows: np.ndarray) -> bool:
        return len(set((rows % 2).tolist())) > 1

    def ranking(self, embedded: Embedded, head, rows: np.ndarray, number: int) -> np.ndarray:
        self.asked.append((number, int(embedded.embeddings[0]), rows.tolist()))
        self.heads.append(head)
        unlabeled = np.setdiff1d(np.arange(POOL), rows)
        return unlabeled if number % 2 else unlabeled[::-1]

    def accuracy(self, embedded: Embedded, rows: np.ndarray) -> float:
        return float(embedded.embeddings[0])

    @property
    def counted(self) -> list[tuple[int, int]]:
        """Labels and network that each round began with."""
        return [(len(rows), network) for _number, network, rows in self.asked]


def _network(number: int, head: LinearHead | None = None) -> Embedded:
    return Embedded(np.array([number]), np.array([number]), head)


def run(
    policy: Policy, times: Times, *labels: int, seconds: tuple[float, ...] = (), budget: int = 4
) -> tuple[list[Point], KnownDesk]:
    desk = KnownDesk(budget)
    return list(timed(cast(Desk, desk), policy, times, Measured(labels, seconds))), desk


# Rounds


def test_labels_given_while_a_round_is_computed_count_for_the_next_one() -> None:
    # labels at 1, 2, 3, ... s; round 2 is computed from 4 s to 6.5 s, when label 7 is in hand
    points, desk = run(Policy(1.0), Times(1, 1.0, round_s=2.5), 8)

    last = [0, 1, 2, 3, 4, 5, 6, POOL - 1]
    assert desk.asked == [(1, 0, []), (2, 0, [0, 1, 2, 3]), (3, 0, last)]
    [point] = points
    assert (point.n_labeled, point.seconds, point.n_stale, point.n_rounds) == (8, 8.0, 3, 2)


def test_round_begins_when_the_one_before_flips_when_that_took_longer_than_its_labels() -> None:
    # due at 4 s, flips at 14 s with 14 labels: 10 more than it counted
    _points, desk = run(Policy(1.0), Times(1, 1.0, round_s=10.0), 15)

    assert desk.counted == [(0, 0), (4, 0), (14, 0)]


@pytest.mark.parametrize("lookahead", [0.01, 0.5, 0.75, 0.9, 1.0])
@pytest.mark.parametrize("budget", [1, 4, 10])
def test_round_is_due_with_as_many_labels_as_the_live_loop_wants(
    lookahead: float, budget: int
) -> None:
    _points, desk = run(Policy(lookahead), BOTH, 11, budget=budget)

    standing = Standing(
        labeled=0,
        pool=0,
        unreadable=0,
        embedded=0,
        tuning=0,
        waiting=0,
        is_whole=True,
        is_ranked=True,
        classes=(),
        budget=budget,
        lookahead=lookahead,
        label_changes=0,
        training_requested=False,
        requested_round=-1,
    )
    assert desk.counted[1] == (standing.wanted_labels, 0)


def test_no_label_is_stale_and_nobody_goes_on_when_all_wait() -> None:
    # two labels at 1 and 2 s, the flip at 7 s, two more at 8 and 9 s
    points, _desk = run(Policy(waits=True), Times(1, 1.0, round_s=5.0), 1, 2, 3, 4, budget=2)

    assert [point.seconds for point in points] == [1.0, 2.0, 8.0, 9.0]
    assert [point.n_stale for point in points] == [0] * 4


@pytest.mark.parametrize("people", [2, 3, 5])
def test_no_label_is_stale_when_all_wait_however_many_they_are(people: int) -> None:
    points, desk = run(Policy(waits=True), Times(people, 2.0, round_s=3.0), 12)

    assert points[-1].n_stale == 0
    assert desk.counted[:3] == [(0, 0), (4, 0), (8, 0)]


def test_people_never_hold_the_same_task() -> None:
    _points, desk = run(Policy(0.5), Times(3, 2.0, round_s=1.0), 30)

    rows = desk.asked[-1][2]
    assert len(set(rows)) == len(rows) > 20


def test_labels_come_evenly_when_three_people_take_two_seconds_each() -> None:
    times = Times(3, 2.0, round_s=1.0)
    points, _desk = run(Policy(0.5), times, 1, 2, 3, 4)

    assert [point.seconds for point in points] == pytest.approx([2, 2 + 2 / 3, 2 + 4 / 3, 4])
    assert [times.until(count) for count in (1, 2, 3, 4)] == pytest.approx(
        [point.seconds for point in points]
    )


def test_points_end_with_the_pool() -> None:
    points, _desk = run(Policy(1.0), BOTH, POOL, POOL + 1)

    assert [point.n_labeled for point in points] == [POOL]


def test_accuracy_is_measured_at_seconds_with_the_labels_given_by_then() -> None:
    points, _desk = run(Policy(1.0), BOTH, 5, seconds=(2.5, 3.0))

    assert [(point.axis, point.at, point.n_labeled) for point in points] == [
        (SECONDS, 2.5, 2),
        (SECONDS, 3.0, 3),
        (LABELS, 5, 5),
    ]


# Networks


def test_network_is_tuned_behind_the_queue_from_the_second_class_on_and_gets_its_round() -> None:
    # rows 0 and 1 at 2 s: tuned on both until 5 s, when 5 labels are given; then on 6 until 9 s
    times = Times(1, 1.0, 0.0, tuning_s=3.0)
    points, desk = run(Policy(1.0, tuning=Tuning.BEHIND), times, 4, 5, 6)

    assert desk.tuned == [2, 6]
    assert desk.counted == [(0, 0), (4, 0), (5, 1)]
    assert [point.accuracy for point in points] == [0.0, 0.0, 1.0]


def test_first_tuning_takes_a_batch_when_it_is_not_eager() -> None:
    times = Times(1, 1.0, 0.0, tuning_s_a_label=0.5)
    _points, desk = run(Policy(1.0, tuning=Tuning.BEHIND, is_eager=False), times, 7)

    # on 4 labels from 4 s to 6 s: a round with 6 labels
    assert desk.tuned == [4]
    assert desk.counted == [(0, 0), (4, 0), (6, 1)]


def test_round_waits_for_its_network_when_blocks_are_tuned_in_the_round() -> None:
    times = Times(1, 1.0, round_s=1.0, tuning_s=2.0, tuning_s_a_label=0.5)
    policy = Policy(waits=True, tuning=Tuning.IN_ROUND)
    points, desk = run(policy, times, 4, 5)

    # 4 labels at 4 s, then 1 + 2 + 4 x 0.5 s, then a label of 1 s
    assert [point.seconds for point in points] == [4.0, 10.0]
    assert [point.accuracy for point in points] == [0.0, 1.0]
    assert desk.heads == [None, HEAD]


# The plain replay


class MeanHeads:
    """Embeddings that stay, and a head that points at each class's mean."""

    def __init__(self) -> None:
        draw = np.random.default_rng(1)
        labels, test_labels = np.arange(60) % 3, np.arange(30) % 3
        centers = draw.standard_normal((3, 5))
        self.truth = Truth(labels, test_labels, 3)
        parts = (centers[of] + draw.standard_normal((len(of), 5)) for of in (labels, test_labels))
        self.images = Embedded(*(part.astype(np.float32) for part in parts))
        self.given: list[tuple[list[int], int]] = []

    def pretrained(self) -> Embedded:
        return self.images

    def untrained(self) -> np.ndarray:
        return self.images.embeddings

    def tune(self, rows: np.ndarray, labels: np.ndarray, seed: int) -> Embedded:
        raise AssertionError("nothing is tuned here")

    def fit_head(
        self, embedded: Embedded, rows: np.ndarray, labels: np.ndarray, seed: int
    ) -> LinearHead:
        if (rows.tolist(), seed) not in self.given:  # a round's and a measurement's are the same
            self.given.append((rows.tolist(), seed))
        weight = np.zeros((3, 5), np.float32)
        for label in np.unique(labels):
            weight[label] = embedded.embeddings[np.sort(rows[labels == label])].mean(axis=0)
        return LinearHead(weight, -0.5 * np.square(weight).sum(axis=1))

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        head = self.fit_head(self.images, rows, labels, seed)
        return Fit(
            self.images.embeddings, head, head.logits(self.images.test_embeddings).argmax(axis=1)
        )


@pytest.mark.parametrize("strategy", ["alfa-mix", "margin", "auto"])
@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (Policy(lookahead=1.0), Times(people=1, label_s=2.0, round_s=0.0)),
        (Policy(waits=True), Times(people=1, label_s=2.0, round_s=7.0)),
        (Policy(waits=True), Times(people=3, label_s=2.0, round_s=60.0)),
    ],
    ids=["no time", "one waits", "three wait"],
)
def test_rows_are_those_of_the_plain_replay_when_nobody_labels_meanwhile(
    policy: Policy, times: Times, strategy: str
) -> None:
    rule, plain, clocked = Rule(strategy, "maxherding", 0.2), MeanHeads(), MeanHeads()

    rounds = list(replay(plain, plain.truth, Plan(first=0, budget=6, rounds=5), rule, seed=3))
    desk = Desk(clocked, clocked.truth, rule, 6, 3)
    points = list(timed(desk, policy, times, Measured((6, 12, 18, 24, 30))))

    assert [(point.n_labeled, point.accuracy) for point in points] == [
        (found.n_labeled, found.accuracy) for found in rounds
    ]
    assert clocked.given == plain.given
    assert points[-1].n_stale == 0
