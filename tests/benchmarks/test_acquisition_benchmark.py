"""The acquisition benchmark's parts, at sizes that take no time."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.acquisition import AUTHORS, LEARN, OURS, goals
from benchmarks.acquisition_cases import Case, make_pool, run_ours, run_scikit_learn
from benchmarks.image_features import image_features, is_available


@pytest.fixture
def make_case(tmp_path):
    def make(method, implementation=OURS):
        return Case(method, implementation, 400, 16, 4, 10, 1, str(tmp_path), None)

    return make


def test_make_pool_is_the_same_each_time(make_case):
    first, second = make_pool(make_case("alfa-mix")), make_pool(make_case("alfa-mix"))
    np.testing.assert_array_equal(first.embeddings, second.embeddings)
    assert len(np.unique(first.embeddings, axis=0)) == 400


def test_search_and_selection_count_the_same_candidates(make_case):
    found = run_ours(make_case("candidate-search"))()
    assert 10 < found.n_candidates < 400
    assert run_ours(make_case("alfa-mix"))().n_candidates == found.n_candidates


@pytest.mark.parametrize("method", ["alfa-mix", "dropquery", "margin", "supply"])
def test_candidates_are_counted_where_there_are_some(method, make_case):
    found = run_ours(make_case(method))()
    assert (found.n_candidates is not None) == (method in ("alfa-mix", "dropquery"))


def test_kmeans_reports_both_inertias(make_case):
    ours = run_ours(make_case("kmeans"))().inertia
    assert ours < 1.05 * run_scikit_learn(make_case("kmeans", "scikit-learn"))().inertia


def test_kmeans_differs_from_repeat_to_repeat(make_case):
    run = run_ours(make_case("kmeans"))
    assert run().inertia != run().inertia


@pytest.mark.skipif(not is_available(), reason="needs Debian's dataset-fashion-mnist")
def test_image_features_are_standardized_and_kept(tmp_path):
    features = image_features(24, tmp_path)
    assert features.shape == (24, 384)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-5)
    next(tmp_path.iterdir()).rename(tmp_path / "image-features-2.npy")
    np.testing.assert_array_equal(image_features(2, tmp_path), features)


def row(method, implementation, rows, cpu_seconds, inertia=None):
    sizes = {"N": rows, "D": 384, "K": 100, "B": 1000}
    return {
        "method": method, "implementation": implementation, **sizes, "cpu_seconds": cpu_seconds,
        "inertia": inertia,
    }  # fmt: skip


def test_goals_give_ratios_and_the_exponent():
    lines = list(
        goals(
            [
                row("two-products", OURS, 50_000, 0.2),
                row("candidate-search", OURS, 50_000, 0.5),
                row("candidate-search", AUTHORS, 50_000, 100.0),
                row("alfa-mix", OURS, 50_000, 2.0),
                row("alfa-mix", OURS, 1_000_000, 40.0),
                row("alfa-mix", AUTHORS, 50_000, None),
            ]
        )
    )
    assert lines[0].endswith("2.50 times the two products")
    assert lines[1].endswith("200.0 times faster than authors")
    assert lines[2].endswith("time grows as N^1.00 from N = 50,000")
    assert len(lines) == 3


def test_goals_compare_inertia_case_by_case():
    lines = list(
        goals(
            [
                row("kmeans", OURS, 20_000, 1.0, inertia=101.0),
                row("kmeans", LEARN, 20_000, 9.0, inertia=100.0),
                row("kmeans-images", OURS, 20_000, 1.0, inertia=199.0),
                row("kmeans-images", LEARN, 20_000, 8.0, inertia=200.0),
            ]
        )
    )
    assert lines[0] == "kmeans [20000, 384, 100, 1000]: +1.00 % inertia to scikit-learn's"
    assert lines[1] == "kmeans-images [20000, 384, 100, 1000]: -0.50 % inertia to scikit-learn's"
    assert lines[2].endswith("9.0 times faster than scikit-learn")
