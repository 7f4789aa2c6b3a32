"""Embeddings in two dimensions: the directions of most variance, and turned as they lay before."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from backend.vision.projection import aligned, project


def rows(count: int, columns: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return generator.normal(size=(count, columns)) @ generator.normal(size=(columns, columns))


def test_projection_is_the_first_two_singular_directions_of_standardized_rows():
    embeddings = rows(60, 5)
    standard = (embeddings - embeddings.mean(0)) / embeddings.std(0)
    left, values, _ = np.linalg.svd(standard, full_matrices=False)
    expected = left[:, :2] * values[:2]
    found = project(embeddings, seed=0)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-3)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (5, 1)])
def test_projection_has_two_columns_whatever_there_is(shape):
    found = project(rows(*shape), seed=0)
    assert found.shape == (shape[0], 2)
    assert np.isfinite(found).all()


def test_projection_is_the_same_when_asked_again():
    np.testing.assert_array_equal(project(rows(60, 5), seed=3), project(rows(60, 5), seed=3))


def test_projection_ignores_columns_that_do_not_vary():
    embeddings = rows(30, 3)
    constant = np.full((30, 1), 5.0)
    found = project(np.hstack([embeddings, constant]), seed=0)
    assert np.abs(found) == pytest.approx(np.abs(project(embeddings, seed=0)), abs=1e-3)


def test_aligned_undoes_a_turn_a_mirror_and_a_shift():
    before = rows(40, 2)
    angle = 2.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (before * [1, -1]) @ turn + [3, -5]
    assert aligned(moved, moved[:25], before[:25]) == pytest.approx(before, abs=1e-5)


def test_aligned_changes_nothing_when_nothing_is_in_common():
    points = rows(4, 2)
    assert aligned(points, points[:1], points[1:2]) is points


class ImitatedUmap:
    """Ends where it begins; umap-learn is not among the packages of the tests."""

    def __init__(self, *, random_state: int, init: np.ndarray | str, **steps: float) -> None:
        assert bool(steps) == isinstance(init, np.ndarray)
        self.init = init

    def fit_transform(self, columns: np.ndarray) -> np.ndarray:
        return np.zeros((len(columns), 2)) if isinstance(self.init, str) else self.init


@pytest.fixture
def imitated_umap(monkeypatch):
    module = ModuleType("umap")
    module.UMAP = ImitatedUmap
    monkeypatch.setitem(sys.modules, "umap", module)


def test_imitated_umap_begins_where_rows_lay_and_new_ones_beside_their_nearest(imitated_umap):
    embeddings = rows(60, 5)
    embeddings[7] = embeddings[40] + 1e-3
    before = rows(60, 2)
    start = before.copy()
    start[7] = np.nan
    found = project(embeddings, 0, "umap", start)
    before[7] = before[40]
    assert found == pytest.approx(before, abs=1e-5)


def test_imitated_umap_begins_where_all_rows_lay_when_none_is_new(imitated_umap):
    start = rows(60, 2)
    assert project(rows(60, 5), 0, "umap", start) == pytest.approx(start, abs=1e-5)


def test_imitated_umap_begins_by_itself_when_nothing_was_drawn_before(imitated_umap):
    for start in (None, np.full((60, 2), np.nan)):
        assert not project(rows(60, 5), 0, "umap", start).any()
