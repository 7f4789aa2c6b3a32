"""The acquisition benchmark's parts, at sizes that take no time."""

import numpy as np
import pytest

from benchmarks.__main__ import main, names
from benchmarks.acquisition import AUTHORS, OURS, goals
from benchmarks.acquisition_cases import Case, make_pool, run_ours, run_scikit_learn


@pytest.fixture
def make_case(tmp_path):
    def make(method, implementation=OURS):
        return Case(method, implementation, 400, 16, 4, 10, 1, str(tmp_path), None)

    return make


def test_dispatcher_runs_modules_with_a_main_and_refuses_the_rest(capsys):
    assert "acquisition" in names()
    assert "acquisition-cases" not in names()
    assert main(["acquisition-cases"]) == 2
    assert "acquisition" in capsys.readouterr().err


def test_make_pool_is_the_same_each_time(make_case):
    first, second = make_pool(make_case("alfa-mix")), make_pool(make_case("alfa-mix"))
    np.testing.assert_array_equal(first.embeddings, second.embeddings)
    assert len(np.unique(first.embeddings, axis=0)) == 400


def test_search_and_selection_count_the_same_candidates(make_case):
    found = run_ours(make_case("candidate-search"))()
    assert 10 < found.n_candidates < 400
    assert run_ours(make_case("alfa-mix"))().n_candidates == found.n_candidates


def test_kmeans_reports_both_inertias(make_case):
    ours = run_ours(make_case("kmeans"))().inertia
    assert ours < 1.05 * run_scikit_learn(make_case("kmeans", "scikit-learn"))().inertia


def row(method, implementation, rows, cpu_seconds):
    sizes = {"N": rows, "D": 384, "K": 100, "B": 1000}
    return {
        "method": method, "implementation": implementation, **sizes, "cpu_seconds": cpu_seconds,
        "inertia": None,
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
