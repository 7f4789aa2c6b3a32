"""Where runs stop, and where they should have, on rows made by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.stop_advice import (
    JOINS,
    NONE,
    Row,
    by_advice,
    by_change,
    by_kappa,
    cost_table,
    true_end,
)

STEPS = (0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.8)


def rows(accuracies=STEPS, way: str = JOINS, seed: int = 0, **changes) -> list[Row]:
    fields = {"left": 0.8, "right": 8, "drawn": 10, "kappa": 0.5, "changed": 0.1} | changes
    return [
        Row("s", way, seed, 30 * number, accuracy, **fields)
        for number, accuracy in enumerate(accuracies, 1)
    ]


def test_true_end_is_where_no_batch_brings_enough_any_more():
    # Smoothed over three rounds: 0.6, 0.7, 0.767, 0.8, 0.8, 0.8; the last rise ends at the fifth.
    assert true_end(rows()) == 150


def test_advice_stops_where_its_interval_is_narrow_enough():
    assert by_advice(rows()) is None
    many = rows([0.8] * 60, right=80, drawn=100)
    found = by_advice(many)
    assert found is not None
    assert 90 <= found < 1800


def test_kappa_stops_when_three_rounds_agree():
    run = rows(kappa=0.995)
    assert by_kappa(run) == 120
    assert by_kappa(rows(kappa=0.98)) is None
    assert by_kappa([Row(**{**vars(run[0]), "kappa": math.nan}), *run[1:]]) == 120


def test_change_stops_when_nothing_changed():
    assert by_change(rows()) is None
    assert by_change(rows(changed=0.0)) == 30


def test_cost_is_the_mean_difference_at_equal_labels():
    found = []
    for seed in (0, 1):
        found += rows(way=NONE, seed=seed)
        found += rows([value + 0.01 for value in STEPS], way=JOINS, seed=seed)
        found += rows([value - 0.01 * (seed + 1) for value in STEPS], way="apart", seed=seed)
    lines = list(cost_table(found))
    assert lines[2].startswith("| joins | +1.00 (+1.00 to +1.00)")
    assert lines[3].startswith("| apart | -1.50 (")


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_stops_when_there_are_few_rounds(count):
    run = rows(STEPS[: count + 1])
    assert (by_advice(run), by_kappa(run[:count])) == (None, None)
