"""The rank order behind the batch, by hand and against a plain search for the nearest center."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backend.acquisition import select, supply
from backend.acquisition.contract import Picks
from backend.acquisition.engines import blocks as blocks_module
from backend.acquisition.supply import rank_supply


@pytest.fixture
def circle(make_pool):
    """Rows at these angles and lengths; 0 and 90 degrees are the batch that the tests use."""
    angle = np.radians([0, 90, 10, 3, 80, 40, 86, 51])
    length = np.array([1, 2, 1, 6, 1, 3, 9, 2])
    pool = make_pool(rows=8, dim=2, classes=2, dtype=np.float64)
    embeddings = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return dataclasses.replace(pool, embeddings=embeddings, ids=np.arange(8))


BATCH = np.array([1, 0])


def test_rows_follow_in_turn_over_the_batch_nearest_first_when_there_is_no_order(circle):
    # Near 90 degrees are 86, 80 and 51, near 0 are 3, 10 and 40.
    rows, clusters = rank_supply(circle, Picks(BATCH), 6)
    np.testing.assert_array_equal(rows, [6, 3, 4, 2, 7, 5])
    np.testing.assert_array_equal(clusters, [0, 1, 0, 1, 0, 1])


def test_rows_are_near_the_strategys_centers_when_it_gives_some(circle):
    # 51, 80 and 86 are 10, 19 and 25 degrees from 61; 10, 3 and 40 are 10, 17 and 20 from 20.
    angle = np.radians([61, 20])
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rows, clusters = rank_supply(circle, Picks(BATCH, centers), 6)
    np.testing.assert_array_equal(rows, [7, 2, 4, 3, 6, 5])
    np.testing.assert_array_equal(clusters, [0, 1, 0, 1, 0, 1])


def test_eligible_rows_come_first_and_the_others_by_order_with_ties_by_id(circle):
    order = np.array([0, 0, 0.2, 0.1, 0.5, 0.1, 0.3, 0.1])
    pool = dataclasses.replace(circle, ids=np.array([0, 1, 2, 9, 4, 8, 6, 7]))
    picks = Picks(BATCH, eligible=np.array([0, 2, 4]), order=order)
    rows, clusters = rank_supply(pool, picks, 6)
    np.testing.assert_array_equal(rows, [4, 2, 7, 5, 3, 6])
    np.testing.assert_array_equal(clusters, [0, 1, 0, 1, 1, 0])


def test_others_follow_in_turn_too_when_there_are_eligible_rows_but_no_order(circle):
    rows, _ = rank_supply(circle, Picks(BATCH, eligible=np.array([5, 7])), 6)
    np.testing.assert_array_equal(rows, [7, 5, 6, 3, 4, 2])


def test_equally_near_rows_follow_by_id(circle):
    circle.embeddings[2:] = circle.embeddings[3]
    pool = dataclasses.replace(circle, ids=np.array([0, 1, 7, 3, 5, 4, 6, 2]))
    rows, _ = rank_supply(pool, Picks(BATCH), 6)
    np.testing.assert_array_equal(pool.ids[rows], [2, 3, 4, 5, 6, 7])


@pytest.mark.parametrize("count", range(7))
def test_fewer_rows_are_the_first_of_all(circle, count):
    order = np.arange(8.0)[::-1]
    picks = Picks(BATCH, eligible=np.array([2, 5, 6]), order=order)
    whole = rank_supply(circle, picks, 6)
    np.testing.assert_array_equal(rank_supply(circle, picks, count), whole[:, :count])


@pytest.mark.parametrize("has_order", [False, True])
def test_clusters_are_the_nearest_centers_on_the_sphere_when_blocks_are_many(
    has_order, make_pool, monkeypatch
):
    monkeypatch.setattr(blocks_module, "BLOCK_ROWS", 64)
    pool = make_pool(rows=500, dtype=np.float64)
    batch = np.random.default_rng(0).choice(500, 9, replace=False)
    order = np.random.default_rng(1).random(500) if has_order else None
    rows, clusters = rank_supply(pool, Picks(batch, order=order), 491)
    unit = pool.embeddings / np.linalg.norm(pool.embeddings, axis=1, keepdims=True)
    np.testing.assert_array_equal(clusters, (unit[rows] @ unit[batch].T).argmax(1))
    np.testing.assert_array_equal(np.sort([*batch, *rows]), np.arange(500))


@pytest.mark.parametrize("strategy", ["alfa-mix", "random"])
def test_no_row_is_read_when_the_supply_is_zero(strategy, make_pool, monkeypatch):
    monkeypatch.delattr(supply, "nearest_centers")
    monkeypatch.delattr(supply, "unit_rows")
    selection = select(strategy, make_pool(), 5, np.random.default_rng(0), supply=0)
    assert len(selection.rows) == 5
