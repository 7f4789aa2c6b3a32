"""What every strategy of the registry promises, one test per promise."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from backend.acquisition import LinearHead, Pool, select, strategy_names
from backend.errors import AcquisitionError

NEED_LABELS = {"alfa-mix", "alfa-mix-exact", "alfa-mix-learned", "gcnal"}
NEED_NO_HEAD = {
    "auto",
    "random",
    "core-set",
    "gcnal",
    "maxherding",
    "kmeans-centers",
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
    "maxherding",
    "uherding",
}
EVERY = pytest.mark.parametrize("strategy", strategy_names())


def options_for(strategy):
    return {"epochs": 3} if strategy == "gcnal" else {}


def run(strategy, pool, budget, *, reserve=0, seed=0):
    generator = np.random.default_rng(seed)
    return select(strategy, pool, budget, generator, reserve=reserve, options=options_for(strategy))


def assert_fits(selection, pool, budget, reserve):
    """Assert sizes, index ranges and disjointness of a selection."""
    count = len(pool.ids)
    taken = min(budget, count)
    spare = min(reserve, count - taken)
    both = np.concatenate([selection.rows, selection.reserve_rows])
    assert selection.rows.shape == (taken,)
    assert selection.reserve_rows.shape == (spare,)
    assert np.issubdtype(both.dtype, np.integer)
    assert len(np.unique(both)) == taken + spare
    assert ((both >= 0) & (both < count)).all()
    np.testing.assert_array_equal(np.sort(selection.clusters), np.arange(taken))
    assert selection.reserve_clusters.shape == (spare,)
    assert ((selection.reserve_clusters >= 0) & (selection.reserve_clusters < taken)).all()


@EVERY
def test_select_returns_the_asked_sizes_when_the_pool_is_large_enough(strategy, make_pool):
    pool = make_pool()
    selection = run(strategy, pool, 12, reserve=20)
    assert_fits(selection, pool, 12, 20)
    assert selection.statistics["strategy"] == strategy
    if selection.informativeness is not None:
        assert selection.informativeness.shape == (len(pool.ids),)


@EVERY
@pytest.mark.parametrize("rows", [1, 2, 7, 12])
def test_select_takes_everything_when_the_pool_is_not_larger_than_the_budget(
    strategy, rows, make_pool
):
    pool = make_pool(rows=rows)
    assert_fits(run(strategy, pool, 12, reserve=5), pool, 12, 5)


@EVERY
def test_select_returns_nothing_when_the_pool_is_empty(strategy, make_pool):
    pool = make_pool(rows=0)
    selection = run(strategy, pool, 5, reserve=5)
    assert_fits(selection, pool, 5, 5)


@EVERY
def test_select_repeats_itself_when_the_generator_starts_alike(strategy, make_pool):
    pool = make_pool()
    first, second = (run(strategy, pool, 10, reserve=10, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.reserve_rows, second.reserve_rows)
    np.testing.assert_array_equal(first.reserve_clusters, second.reserve_clusters)


@EVERY
def test_select_gives_the_same_rows_when_two_threads_compute(strategy, make_pool):
    pool = make_pool(rows=3000, dim=16)
    threads = torch.get_num_threads()
    try:
        answers = []
        for count in (1, 2):
            torch.set_num_threads(count)
            answers.append(run(strategy, pool, 10, reserve=10).rows)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(*answers)


@EVERY
def test_select_leaves_its_inputs_unchanged(strategy, make_pool):
    pool = make_pool()
    before = copy.deepcopy(pool)
    for array in (pool.embeddings, pool.labeled_embeddings, pool.labels, pool.ids):
        array.flags.writeable = False
    run(strategy, pool, 10, reserve=10)
    for name in ("embeddings", "labeled_embeddings", "labels", "ids"):
        np.testing.assert_array_equal(getattr(pool, name), getattr(before, name))
    np.testing.assert_array_equal(pool.head.weight, before.head.weight)


@EVERY
def test_select_works_when_a_class_has_no_label(strategy, make_pool):
    pool = make_pool(classes=5, labels=[0, 1, 1, 3] * 6)
    assert_fits(run(strategy, pool, 12, reserve=8), pool, 12, 8)


@EVERY
def test_select_works_when_all_rows_are_the_same(strategy, make_pool):
    pool = make_pool(rows=30)
    pool.embeddings[:] = pool.embeddings[0]
    assert_fits(run(strategy, pool, 12, reserve=8), pool, 12, 8)


@EVERY
def test_select_works_when_rows_are_zero_and_the_head_is_constant(strategy, make_pool):
    pool = make_pool(rows=30)
    pool.embeddings[:10] = 0
    pool = dataclasses.replace(
        pool, head=LinearHead(np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    )
    assert_fits(run(strategy, pool, 12, reserve=8), pool, 12, 8)


@EVERY
def test_select_works_when_the_head_is_a_network(strategy, make_pool):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    pool = make_pool(head=network)
    assert_fits(run(strategy, pool, 12, reserve=8), pool, 12, 8)


@EVERY
def test_select_works_when_embeddings_are_a_half_precision_file(strategy, make_pool, tmp_path):
    pool = make_pool()
    file = np.memmap(tmp_path / "pool", dtype=np.float16, mode="w+", shape=pool.embeddings.shape)
    file[:] = pool.embeddings
    file.flush()
    file = np.memmap(tmp_path / "pool", dtype=np.float16, mode="r", shape=pool.embeddings.shape)
    assert_fits(run(strategy, dataclasses.replace(pool, embeddings=file), 12), pool, 12, 0)


@EVERY
def test_select_needs_a_head_only_where_it_says_so(strategy, make_pool):
    pool = make_pool(head=None)
    if strategy in NEED_NO_HEAD:
        assert_fits(run(strategy, pool, 12), pool, 12, 0)
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
        assert_fits(run(strategy, pool, 12), pool, 12, 0)


@pytest.mark.parametrize("strategy", sorted(DETERMINISTIC))
def test_select_ranks_by_task_id_when_rows_come_in_another_order(strategy, make_pool):
    pool = make_pool(rows=40, seed=3)
    pool.embeddings[5:10] = pool.embeddings[0]
    order = np.random.default_rng(1).permutation(40)
    shuffled = dataclasses.replace(pool, embeddings=pool.embeddings[order], ids=pool.ids[order])
    first, second = run(strategy, pool, 15).rows, run(strategy, shuffled, 15).rows
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


def test_select_names_the_reserve_when_it_is_negative(make_pool):
    with pytest.raises(AcquisitionError, match=r"reserve must be .* at least 0; found -1"):
        select("random", make_pool(), 5, np.random.default_rng(0), reserve=-1)


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
    ("auto", {"labels_per_class": -1}, "labels_per_class must be at least 0; found -1"),
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
