"""The protocol with a learner whose predictions are known and that remembers what it was given."""

from __future__ import annotations

import numpy as np
import pytest

from backend.acquisition.rule import Rule
from backend.replay import OF_NO_CLASS, Fit, Plan, Round, Truth, replay
from backend.vision import LinearHead

POOL, TEST, CLASSES = 30, 10, 3
EMBEDDINGS = np.random.default_rng(0).standard_normal((POOL, 4)).astype(np.float32)
TRUTH = Truth(np.arange(POOL) % CLASSES, np.arange(TEST) % CLASSES, CLASSES)


class KnownLearner:
    """Predicts the first L test labels truly after L labels, and class K, which is none, after."""

    def __init__(self) -> None:
        self.given: list[tuple[list[int], list[int], int]] = []

    def untrained(self) -> np.ndarray:
        return EMBEDDINGS

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        self.given.append((rows.tolist(), labels.tolist(), seed))
        is_known = np.arange(TEST) < len(rows)
        predictions = np.where(is_known, TRUTH.test_labels, CLASSES)
        head = LinearHead(np.eye(CLASSES, 4, dtype=np.float32), np.zeros(CLASSES, np.float32))
        return Fit(EMBEDDINGS, head, predictions)


def run(
    plan: Plan, strategy: str = "random", seed: int = 0, cold_start: str = "maxherding"
) -> tuple[list[Round], KnownLearner]:
    learner = KnownLearner()
    return list(replay(learner, TRUTH, plan, Rule(strategy, cold_start, 0.2), seed)), learner


@pytest.mark.parametrize("strategy", ["random", "alfa-mix", "margin", "kmeans-centers"])
def test_replay_gives_a_row_a_training_when_there_are_first_labels(strategy: str) -> None:
    rounds, learner = run(Plan(first=4, budget=2, rounds=3), strategy)

    assert [row.number for row in rounds] == [0, 1, 2, 3]
    assert [row.n_labeled for row in rounds] == [4, 6, 8, 10]
    assert [row.accuracy for row in rounds] == [0.4, 0.6, 0.8, 1.0]
    assert len(learner.given) == 4


@pytest.mark.parametrize("strategy", ["random", "alfa-mix", "margin", "kmeans-centers"])
def test_replay_reveals_new_rows_with_their_own_labels_every_round(strategy: str) -> None:
    _, learner = run(Plan(first=4, budget=3, rounds=5), strategy)

    for rows, labels, _seed in learner.given:
        assert len(set(rows)) == len(rows)
        assert labels == [row % CLASSES for row in rows]
    for (before, *_), (after, *_) in zip(learner.given, learner.given[1:], strict=False):
        assert after[: len(before)] == before


def test_first_labels_are_the_same_for_every_strategy_of_a_seed_and_differ_between_seeds() -> None:
    plan = Plan(first=5, budget=2, rounds=1)
    first = {
        (strategy, seed): tuple(run(plan, strategy, seed)[1].given[0][0])
        for strategy in ("random", "alfa-mix", "kmeans-centers")
        for seed in range(3)
    }

    assert len({first[strategy, 1] for strategy in ("random", "alfa-mix", "kmeans-centers")}) == 1
    assert len({first["random", seed] for seed in range(3)}) == 3


def test_training_seeds_differ_between_rounds_and_between_seeds() -> None:
    plan = Plan(first=2, budget=2, rounds=4)

    seeds = [given[2] for seed in range(3) for given in run(plan, seed=seed)[1].given]

    assert len(set(seeds)) == len(seeds) == 15


def test_replay_ends_when_the_pool_is_empty() -> None:
    rounds, learner = run(Plan(first=10, budget=8, rounds=9))

    assert [row.n_labeled for row in rounds] == [10, 18, 26, 30]
    assert sorted(learner.given[-1][0]) == list(range(POOL))


def test_cold_start_chooses_the_first_batch_when_there_are_no_first_labels() -> None:
    rounds, learner = run(Plan(first=0, budget=4, rounds=3), "margin", cold_start="kmeans-centers")
    _, other = run(Plan(first=0, budget=4, rounds=1), "alfa-mix", cold_start="kmeans-centers")
    _, random = run(Plan(first=0, budget=4, rounds=1), "random", cold_start="random")

    assert [row.number for row in rounds] == [1, 2, 3]
    assert [row.n_labeled for row in rounds] == [4, 8, 12]
    assert learner.given[0] == other.given[0] != random.given[0]


@pytest.mark.parametrize("strategy", ["random", "alfa-mix", "auto"])
def test_images_of_no_class_are_shown_once_and_taught_from_never(strategy: str) -> None:
    labels = np.where(np.arange(POOL) % 5 == 0, OF_NO_CLASS, TRUTH.labels)
    truth = Truth(labels, TRUTH.test_labels, CLASSES)
    learner, rule = KnownLearner(), Rule(strategy, "maxherding", 0.2)
    rounds = list(replay(learner, truth, Plan(first=6, budget=6, rounds=9), rule, seed=0))

    assert [row.n_labeled for row in rounds] == [6, 12, 18, 24, 30]
    for rows, given, _seed in learner.given:
        assert given == labels[rows].tolist() and OF_NO_CLASS not in given
    assert sorted(learner.given[-1][0]) == [row for row in range(POOL) if row % 5]
    assert rounds[-1].class_counts == (8, 8, 8)


def test_replay_gives_equal_rows_when_it_is_repeated() -> None:
    plan = Plan(first=4, budget=3, rounds=4)

    assert run(plan, "alfa-mix", 7)[1].given == run(plan, "alfa-mix", 7)[1].given
