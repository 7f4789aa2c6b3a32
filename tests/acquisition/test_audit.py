"""Rows drawn uniformly and mixed into a batch: how many, which, and where."""

import numpy as np
import pytest

from backend.acquisition.audit import audit_size, mix_in

ROWS = np.array([5, 3, 9, 0, 7, 2, 8])


def generators(count: int):
    return map(np.random.default_rng, range(count))


@pytest.mark.parametrize(("budget", "share"), [(30, 0.1), (100, 0.25)])
def test_audit_size_is_the_share_when_that_is_whole(budget, share):
    assert {audit_size(budget, share, each) for each in generators(20)} == {round(budget * share)}


def test_audit_size_is_the_share_on_average_when_that_is_not_whole():
    sizes = [audit_size(7, 0.2, each) for each in generators(4000)]
    assert set(sizes) == {1, 2}
    assert np.mean(sizes) == pytest.approx(1.4, abs=0.03)


def test_audit_size_is_nothing_when_the_share_is():
    assert {audit_size(30, 0.0, each) for each in generators(20)} == {0}


def test_drawn_rows_are_mixed_in_and_the_others_keep_their_order():
    for generator in generators(50):
        mixed = mix_in(ROWS, np.array([8, 9]), 4, generator)
        places = np.flatnonzero(np.isin(mixed, [8, 9]))
        assert len(places) == 2
        assert places.max() < 4
        assert mixed[~np.isin(mixed, [8, 9])].tolist() == [5, 3, 0, 7, 2]


def test_drawn_rows_come_to_every_place_alike():
    counts = np.zeros((2, 4))
    for generator in generators(8000):
        mixed = mix_in(ROWS, np.array([8, 9]), 4, generator).tolist()
        counts[0, mixed.index(8)] += 1
        counts[1, mixed.index(9)] += 1
    assert counts / 8000 == pytest.approx(np.full((2, 4), 0.25), abs=0.02)


def test_all_rows_may_be_drawn():
    mixed = mix_in(ROWS, ROWS, 3, np.random.default_rng(0))
    assert sorted(mixed) == sorted(ROWS)


def test_nothing_changes_when_nothing_is_drawn():
    nothing = np.empty(0, dtype=np.int64)
    assert mix_in(ROWS, nothing, 3, np.random.default_rng(0)).tolist() == ROWS.tolist()
    assert mix_in(nothing, nothing, 3, np.random.default_rng(0)).tolist() == []
