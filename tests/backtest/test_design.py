"""How labels are split and rounds are planned."""

from __future__ import annotations

import numpy as np
import pytest

from backend.backtest.design import chosen_strategies, plan, split
from backend.errors import BacktestError
from backend.replay import Plan


def test_split_keeps_the_classes_in_proportion_in_both_parts() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 20])

    parts = split(labels, seed=0)

    assert np.bincount(labels[parts.test]).tolist() == [30, 12, 6]
    assert sorted([*parts.pool, *parts.test]) == list(range(160))


@pytest.mark.parametrize("seed", range(5))
def test_split_holds_out_a_label_of_every_class_when_classes_are_small(seed: int) -> None:
    labels = np.repeat(np.arange(20), 5)

    parts = split(labels, seed)

    assert set(labels[parts.test]) == set(labels[parts.pool]) == set(range(20))


def test_split_is_the_same_for_a_seed_and_another_for_the_next() -> None:
    labels = np.arange(100) % 4

    same, other = split(labels, 3), split(labels, 4)

    np.testing.assert_array_equal(split(labels, 3).test, same.test)
    assert set(same.test) != set(other.test)


@pytest.mark.parametrize(
    ("pool_size", "budget", "wanted"),
    [
        (1258, 100, Plan(100, 100, 10)),  # the project's own; the most that was asked for
        (420, 50, Plan(50, 50, 6)),  # 50 + 6 x 50 leave 70, less than two batches
        (420, 60, Plan(60, 60, 5)),
        (420, 100, Plan(60, 60, 5)),  # shrunk to a seventh of the pool
        (70, 100, Plan(10, 10, 5)),
        (70, 1, Plan(1, 1, 10)),
    ],
)
def test_plan_fits_five_rounds_into_the_pool(pool_size: int, budget: int, wanted: Plan) -> None:
    assert plan(pool_size, budget, most_rounds=10) == wanted


@pytest.mark.parametrize("pool_size", range(70, 200, 13))
@pytest.mark.parametrize("budget", [1, 9, 10, 11, 500])
def test_plan_lets_every_round_choose_from_two_batches_or_more(pool_size: int, budget: int) -> None:
    found = plan(pool_size, budget, most_rounds=8)

    left_at_last_choice = pool_size - found.first - (found.rounds - 1) * found.budget
    assert found.rounds >= 5
    assert left_at_last_choice >= 2 * found.budget


def test_plan_makes_the_first_batch_a_round_when_it_is_not_shared() -> None:
    assert plan(420, 60, most_rounds=8, shares_first=False) == Plan(0, 60, 6)


def test_chosen_strategies_are_the_projects_own_and_the_compared_ones() -> None:
    compared = ("alfa-mix", "margin", "kmeans-centers", "random")
    assert chosen_strategies([], "auto") == ("auto", *compared)
    assert chosen_strategies([], "alfa-mix") == compared
    assert chosen_strategies([], "margin")[:2] == ("margin", "alfa-mix")
    assert chosen_strategies(["badge", "badge"], "auto") == ("badge", "random")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["margin", "alfamix"], "unknown strategy alfamix; known are auto"),
        (["random"], "no strategy but random"),
    ],
)
def test_chosen_strategies_raise_when_there_is_nothing_to_compare(
    asked: list[str], message: str
) -> None:
    with pytest.raises(BacktestError, match=message):
        chosen_strategies(asked, "auto")
