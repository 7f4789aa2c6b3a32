"""What every strategy of the registry promises, one test per promise."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from backend.acquisition import LinearHead, Pool, select, strategy_names
from backend.errors import AcquisitionError

NEED_LABELS = {
    "alfa-mix",
    "alfa-mix-exact",
    "alfa-mix-learned",
    "alfa-herding",
    "gcnal",
    "refine",
}
NEED_NO_HEAD = {
    "auto",
    "random",
    "core-set",
    "gcnal",
    "maxherding",
    "kmeans-centers",
    "tcm",
    "typiclust",
    "probcover",
}
DETERMINISTIC = {
    "entropy",
    "margin",
    "least-confidence",
    "core-set",
    "deepfool",
    "cdal",
    "alfa-herding",
    "maxherding",
    "uherding",
    "bait",
}
MIX = {"auto", "alfa-herding", "alfa-mix", "alfa-mix-exact", "alfa-mix-learned"}
# Options that make what is costly cheap.
CHEAP = {"gcnal": {"epochs": 3}, "refine": {"batches": 9, "depth": 2}}
EVERY = pytest.mark.parametrize("strategy", strategy_names())


def options_for(strategy):
    return CHEAP.get(strategy, {})


def run(strategy, pool, budget, *, supply=None, seed=0):
    generator = np.random.default_rng(seed)
    return select(strategy, pool, budget, generator, supply=supply, options=options_for(strategy))


def assert_fits(selection, pool, budget, supply=None):
    """Assert sizes, types and index ranges of a selection, and that no row comes twice."""
    count = len(pool.ids)
    batch = min(budget, count)
    ranked = count if supply is None else min(batch + supply, count)
    assert selection.batch_size == batch
    for array in (selection.rows, selection.clusters):
        assert array.shape == (ranked,)
        assert array.dtype == np.int64
    assert len(np.unique(selection.rows)) == ranked
    assert ((selection.rows >= 0) & (selection.rows < count)).all()
    np.testing.assert_array_equal(selection.clusters[:batch], np.arange(batch))
    assert ((selection.clusters >= 0) & (selection.clusters < batch)).all()


def assert_equal(first, second):
    """Assert that two selections are the same."""
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.clusters, second.clusters)
    assert first.statistics == second.statistics
    assert (first.mixing is None) == (second.mixing is None)
    if first.mixing is not None:
        for field in dataclasses.fields(first.mixing):
            np.testing.assert_array_equal(
                getattr(first.mixing, field.name), getattr(second.mixing, field.name)
            )


@EVERY
def test_select_ranks_the_whole_pool_batch_first_when_nothing_else_is_asked(strategy, make_pool):
    pool = make_pool()
    selection = run(strategy, pool, 12)
    assert_fits(selection, pool, 12)
    assert selection.statistics["strategy"] == strategy
    np.testing.assert_array_equal(np.sort(selection.rows), np.arange(len(pool.ids)))
    np.testing.assert_array_equal(selection.rows[:12], run(strategy, pool, 12, supply=0).rows)


@EVERY
@pytest.mark.parametrize("supply", [0, 1, 20, 150, 1000])
def test_select_gives_the_same_ranking_shorter_when_the_supply_is_limited(
    strategy, supply, make_pool
):
    pool = make_pool()
    whole, part = run(strategy, pool, 12), run(strategy, pool, 12, supply=supply)
    assert_fits(part, pool, 12, supply)
    np.testing.assert_array_equal(part.rows, whole.rows[: len(part.rows)])
    np.testing.assert_array_equal(part.clusters, whole.clusters[: len(part.rows)])


@EVERY
def test_select_tells_of_mixing_only_where_it_mixes(strategy, make_pool):
    pool = make_pool()
    selection = run(strategy, pool, 12, supply=0)
    assert (selection.mixing is not None) == (strategy in MIX)
    if strategy in MIX:
        assert_tells_of_mixing(selection, pool)


@pytest.mark.parametrize("strategy", sorted(MIX))
def test_select_tells_of_mixing_when_the_head_is_a_network(strategy, make_pool):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    pool = make_pool(head=network)
    assert_tells_of_mixing(run(strategy, pool, 12, supply=0), pool)


def assert_tells_of_mixing(selection, pool):
    """Assert that candidates flip, that rows that never do keep their class, and the counts."""
    mixing, count = selection.mixing, len(pool.ids)
    flips = np.isfinite(mixing.critical_epsilons)
    with torch.no_grad():
        label = pool.head(torch.tensor(pool.embeddings)).argmax(1).numpy()
    assert mixing.critical_epsilons.shape == (count,)
    assert (mixing.critical_epsilons >= 0).all()
    assert mixing.is_candidate.shape == (count,)
    assert mixing.is_candidate.dtype == bool
    assert mixing.flips_to.dtype == np.int64
    np.testing.assert_array_equal(
        mixing.is_candidate, mixing.critical_epsilons <= selection.statistics["epsilon"]
    )
    assert 0 < mixing.is_candidate.sum() == selection.statistics["n_candidates"]
    np.testing.assert_array_equal(mixing.flips_to != label, flips)
    assert set(mixing.flips_to) <= set(range(pool.num_classes))


@EVERY
@pytest.mark.parametrize("rows", [1, 2, 7, 12])
def test_select_takes_everything_when_the_pool_is_not_larger_than_the_budget(
    strategy, rows, make_pool
):
    pool = make_pool(rows=rows)
    assert_fits(run(strategy, pool, 12), pool, 12)


@EVERY
def test_select_returns_nothing_when_the_pool_is_empty(strategy, make_pool):
    pool = make_pool(rows=0)
    assert_fits(run(strategy, pool, 5), pool, 5)


@EVERY
def test_select_repeats_itself_when_the_generator_starts_alike(strategy, make_pool):
    pool = make_pool()
    assert_equal(run(strategy, pool, 10, seed=7), run(strategy, pool, 10, seed=7))


@EVERY
def test_select_gives_the_same_rows_when_two_threads_compute(strategy, make_pool):
    pool = make_pool(rows=3000, dim=16)
    threads = torch.get_num_threads()
    try:
        answers = []
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(run(strategy, pool, 10).rows)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*answers)


@EVERY
def test_select_leaves_its_inputs_unchanged(strategy, make_pool):
    pool = make_pool()
    before = copy.deepcopy(pool)
    for array in (pool.embeddings, pool.labeled_embeddings, pool.labels, pool.ids):
        array.flags.writeable = False
    run(strategy, pool, 10)
    for name in ("embeddings", "labeled_embeddings", "labels", "ids"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(before, name))
    np.testing.assert_array_equal(pool.head.weight, before.head.weight)


@EVERY
def test_select_works_when_a_class_has_no_label(strategy, make_pool):
    pool = make_pool(classes=5, labels=[0, 1, 1, 3] * 6)
    assert_fits(run(strategy, pool, 12), pool, 12)


@EVERY
def test_select_works_when_all_rows_are_the_same(strategy, make_pool):
    pool = make_pool(rows=30)
    pool.embeddings[:] = pool.embeddings[0]
    assert_fits(run(strategy, pool, 12), pool, 12)


@EVERY
def test_select_works_when_rows_are_zero_and_the_head_is_constant(strategy, make_pool):
    pool = make_pool(rows=30)
    pool.embeddings[:10] = 0
    pool = dataclasses.replace(
        pool, head=LinearHead(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    )
    assert_fits(run(strategy, pool, 12), pool, 12)


@EVERY
def test_select_works_when_the_head_is_a_network(strategy, make_pool):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    pool = make_pool(head=network)
    assert_fits(run(strategy, pool, 12), pool, 12)


@EVERY
def test_select_works_when_embeddings_are_a_half_precision_file(strategy, make_pool, tmp_path):
    pool = make_pool()
    file = np.memmap(tmp_path / "pool", dtype=np.float16, mode="w+", shape=pool.embeddings.shape)
    file[:] = pool.embeddings
    file.flush()
    file = np.memmap(tmp_path / "pool", dtype=np.float16, mode="r", shape=pool.embeddings.shape)
    assert_fits(run(strategy, dataclasses.replace(pool, embeddings=file), 12), pool, 12)


@EVERY
def test_select_needs_a_head_only_where_it_says_so(strategy, make_pool):
    pool = make_pool(head=None)
    if strategy in NEED_NO_HEAD:
        assert_fits(run(strategy, pool, 12), pool, 12)
    else:
        with pytest.raises(AcquisitionError, match="needs a trained head"):
            run(strategy, pool, 12)


@EVERY
def test_select_needs_labels_only_where_it_says_so(strategy, make_pool):
    pool = make_pool(labels=[])
    if strategy in NEED_LABELS:
        with pytest.raises(AcquisitionError, match="label"):
            run(strategy, pool, 12)
    else:
        assert_fits(run(strategy, pool, 12), pool, 12)


@pytest.mark.parametrize("strategy", sorted(DETERMINISTIC))
def test_select_ranks_by_task_id_when_rows_come_in_another_order(strategy, make_pool):
    pool = make_pool(rows=40, seed=3)
    pool.embeddings[5:10] = pool.embeddings[0]
    order = np.random.default_rng(1).permutation(40)
    shuffled = dataclasses.replace(pool, embeddings=pool.embeddings[order], ids=pool.ids[order])
    first, second = (run(strategy, p, 15, supply=0).rows for p in (pool, shuffled))
    np.testing.assert_array_equal(pool.ids[first], shuffled.ids[second])


BAD_POOLS = {
    "embeddings must be finite; row 3": lambda p: p.embeddings.__setitem__((3, 1), np.nan),
    "embeddings must be finite; row 0": lambda p: p.embeddings.__setitem__((0, 0), np.inf),
    "labeled_embeddings must be finite; row 2": lambda p: p.labeled_embeddings.__setitem__(
        (2, 0), -np.inf
    ),
    r"labels must lie in \[0, 4\); found 4": lambda p: p.labels.__setitem__(1, 4),
    r"labels must lie in \[0, 4\); found -1": lambda p: p.labels.__setitem__(1, -1),
    "ids must be unique": lambda p: p.ids.__setitem__(1, p.ids[0]),
    "weight and bias must be finite": lambda p: p.head.weight.__setitem__((0, 0), np.nan),
}


@pytest.mark.parametrize("message", BAD_POOLS)
def test_select_names_the_bad_value_when_an_array_holds_one(message, make_pool):
    pool = make_pool()
    BAD_POOLS[message](pool)
    with pytest.raises(AcquisitionError, match=message):
        run("random", pool, 5)


BAD_SHAPES = {
    "embeddings must be a floating-point matrix": {"embeddings": np.zeros(8, np.float32)},
    "embeddings must be a floating-point matrix.*int64": {"embeddings": np.zeros((200, 8), int)},
    "labeled_embeddings have 7 columns": {"labeled_embeddings": np.zeros((40, 7), np.float32)},
    "labels must be 40 integers": {"labels": np.zeros(39, np.int64)},
    "labels must be 40 integers.*float64": {"labels": np.zeros(40)},
    "ids must be 200 integers": {"ids": np.arange(199)},
    "num_classes must be at least 1; found 0": {"num_classes": 0},
    r"the head must have weight \(4, 8\)": {
        "head": LinearHead(np.zeros((4, 7), np.float32), np.zeros(4, np.float32))
    },
    r"the head must map \(1, 8\) to \(1, 4\)": {"head": torch.nn.Linear(8, 3)},
}


@pytest.mark.parametrize("message", BAD_SHAPES)
def test_select_names_both_shapes_when_they_disagree(message, make_pool):
    pool = dataclasses.replace(make_pool(), **BAD_SHAPES[message])
    with pytest.raises(AcquisitionError, match=message):
        run("random", pool, 5)


@pytest.mark.parametrize("budget", [0, -1, 2.5, True, "5", None])
def test_select_names_the_budget_when_it_is_no_positive_integer(budget, make_pool):
    with pytest.raises(AcquisitionError, match="budget must be an integer of at least 1"):
        select("random", make_pool(), budget, np.random.default_rng(0))


@pytest.mark.parametrize("supply", [-1, 2.5, True, "5"])
def test_select_names_the_supply_when_it_is_no_integer_of_at_least_zero(supply, make_pool):
    with pytest.raises(AcquisitionError, match="supply must be an integer of at least 0; found"):
        select("random", make_pool(), 5, np.random.default_rng(0), supply=supply)


def test_select_lists_the_strategies_when_the_name_is_unknown(make_pool):
    with pytest.raises(AcquisitionError, match="unknown strategy 'alfa'; known are auto, alfa-mix"):
        select("alfa", make_pool(), 5, np.random.default_rng(0))


def test_select_lists_the_options_when_one_is_unknown(make_pool):
    with pytest.raises(AcquisitionError, match="auto has no option eps; it has epsilon"):
        select("auto", make_pool(), 5, np.random.default_rng(0), options={"eps": 1})


BAD_OPTIONS = [
    ("alfa-mix", {"epsilon": 0}, "epsilon must be a number above 0; found 0"),
    ("alfa-mix", {"epsilon": float("nan")}, "epsilon must be a number above 0; found nan"),
    ("alfa-mix", {"alpha": "best"}, "alpha must be one of closed_form, .*; found 'best'"),
    ("alfa-mix", {"anchors": "x"}, "anchors must be one of class-means, .*; found 'x'"),
    ("alfa-mix", {"diversify_by": "x"}, "diversify must be one of kmeans, .*; found 'x'"),
    ("alfa-mix-learned", {"diversify_by": "symmetric-kl"}, "does not work with a learned alpha"),
    ("alfa-herding", {"epsilon": 0}, "epsilon must be a number above 0; found 0"),
    ("bait", {"ridge": 0}, "ridge must be at least 0.001; found 0"),
    ("refine", {"depth": -1}, "depth must be at least 0; found -1"),
    ("refine", {"batches": 8}, "batches must be at least 9; found 8"),
    ("refine", {"share": 0}, "share must be above 0, and at most 1; found 0"),
    ("refine", {"part": 0}, "part must be at least 1; found 0"),
    ("tcm", {"labels_per_class": -1}, "labels_per_class must be at least 0; found -1"),
    ("bald", {"samples": 0}, "samples >= 1"),
    ("bald", {"dropout": 1}, "0 < dropout < 1"),
    ("dropquery", {"trials": 0}, "trials >= 1"),
    ("margin-kmeans", {"beta": 0}, "beta must be an integer of at least 1; found 0"),
    ("uherding", {"temperature": 0}, "temperature must be above 0; found 0"),
    ("maxherding", {"sigma": 0}, "sigma must be above 0; found 0"),
    ("probcover", {"radius": -1}, "radius must be at least 0; found -1"),
    ("deepfool", {"steps": 0}, "steps must be at least 1; found 0"),
    ("gcnal", {"epochs": -1}, "epochs must be at least 0; found -1"),
]


@pytest.mark.parametrize(("strategy", "options", "message"), BAD_OPTIONS)
def test_select_names_the_option_when_its_value_is_impossible(
    strategy, options, message, make_pool
):
    with pytest.raises(AcquisitionError, match=message):
        select(strategy, make_pool(), 5, np.random.default_rng(0), options=options)


def test_pool_has_no_place_for_true_labels():
    assert {f.name for f in dataclasses.fields(Pool)} == {
        "embeddings",
        "labeled_embeddings",
        "labels",
        "num_classes",
        "head",
        "ids",
    }
