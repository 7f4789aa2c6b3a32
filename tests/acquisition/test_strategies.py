"""Each strategy against its own definition."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from backend.acquisition import LinearHead, select
from backend.acquisition.contract import Picks
from backend.acquisition.strategies import refine
from backend.acquisition.strategies.alfa_herding import closeness
from backend.acquisition.strategies.badge import gradient_space
from backend.acquisition.strategies.bald import mutual_information
from backend.acquisition.strategies.deepfool import linear_distances, walked_distances
from backend.acquisition.strategies.gcnal import Adjacency, labeled_loss
from backend.acquisition.strategies.maxherding import considered_rows
from backend.acquisition.strategies.probcover import pure_radius
from backend.acquisition.strategies.typiclust import mean_neighbor_distance
from backend.acquisition.strategies.uherding import labeled_spacing, tempered_doubt
from backend.acquisition.strategies.uncertainty import entropy


def choose(strategy, pool, budget, seed=0, supply=0, **options):
    generator = np.random.default_rng(seed)
    return select(strategy, pool, budget, generator, supply=supply, options=options)


@pytest.fixture
def four_rows(make_pool):
    """A pool whose head gives these probabilities, one row each."""
    probabilities = np.array([[0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.6, 0.39, 0.01], [0.9, 0.1, 0.0]])
    pool = make_pool(rows=4, dim=3, classes=3, dtype=np.float64)
    logits = np.log(np.maximum(probabilities, 1e-30))
    return dataclasses.replace(
        pool, embeddings=logits, head=LinearHead(np.eye(3), np.zeros(3)), ids=np.arange(4)
    )


@pytest.mark.parametrize(
    ("strategy", "order"),
    [
        ("entropy", [1, 2, 0, 3]),
        ("margin", [0, 1, 2, 3]),
        ("least-confidence", [1, 0, 2, 3]),
    ],
)
def test_uncertainty_ranks_as_by_hand(strategy, order, four_rows):
    np.testing.assert_array_equal(choose(strategy, four_rows, 4).rows, order)


@pytest.mark.parametrize("strategy", ["entropy", "margin", "least-confidence", "bald", "deepfool"])
def test_scores_rank_the_supply_as_they_rank_the_batch(strategy, make_pool):
    pool = make_pool(rows=60)
    whole = choose(strategy, pool, 60).rows
    np.testing.assert_array_equal(choose(strategy, pool, 5, supply=None).rows, whole)


def test_entropy_is_in_nats_and_zero_for_a_certain_row():
    logits = torch.tensor([[0.0, 0.0, -2000.0], [0.0, -2000.0, -2000.0]])
    np.testing.assert_allclose(entropy(logits.log_softmax(1)), [math.log(2), 0])


def test_random_draws_every_row_equally_often(make_pool):
    pool = make_pool(rows=6)
    counts = np.zeros(6)
    for seed in range(600):
        counts[choose("random", pool, 2, seed).rows] += 1
    assert np.abs(counts - 200).max() < 5 * math.sqrt(600 * (1 / 3) * (2 / 3))


def test_mutual_information_equals_its_definition(make_pool):
    pool = make_pool(rows=5, dtype=np.float64)
    masks = np.random.default_rng(0).integers(0, 2, size=(7, 8)) * 2.0
    z = torch.tensor(pool.embeddings)
    p = np.stack([pool.head(z * torch.tensor(m)).softmax(1).numpy() for m in masks])
    mean = p.mean(0)
    expected = -(mean * np.log(mean)).sum(1) + (p * np.log(p)).sum(2).mean(0)
    found = mutual_information(pool.head, z, torch.tensor(masks))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_mutual_information_is_zero_when_dropout_changes_nothing(make_pool):
    pool = make_pool(rows=5, dtype=np.float64)
    masks = torch.ones(4, 8, dtype=torch.double)
    found = mutual_information(pool.head, torch.tensor(pool.embeddings), masks)
    np.testing.assert_allclose(found, 0, atol=1e-12)


def test_gradient_space_equals_autograds_last_layer_gradients(make_pool):
    pool = make_pool(rows=15, dtype=np.float64)
    weight = torch.tensor(pool.head.weight, requires_grad=True)
    gradients = []
    for z in torch.tensor(pool.embeddings):
        logits = (weight @ z + torch.tensor(pool.head.bias))[None]
        loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1))
        gradients.append(torch.autograd.grad(loss, weight)[0].flatten().numpy())
    gradients = np.stack(gradients)
    found = gradient_space(pool).squared_distances(slice(0, 15), torch.arange(15))
    expected = ((gradients[:, None] - gradients[None]) ** 2).sum(2)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert choose("badge", pool, 4).rows[0] == np.linalg.norm(gradients, axis=1).argmax()


def test_badge_fills_up_by_length_when_all_gradients_are_equal(make_pool):
    pool = make_pool(rows=6)
    pool.embeddings[:] = pool.embeddings[0]
    rows = choose("badge", pool, 6).rows
    np.testing.assert_array_equal(np.sort(pool.ids)[1:], pool.ids[rows][1:])


def boundary_distance(head, z):
    """The distance to the nearest point with another class on top, by optimization."""
    label = int(np.argmax(head.weight @ z + head.bias))
    best = np.inf
    for k in range(len(head.bias)):
        if k == label:
            continue
        constraint = {
            "type": "eq",
            "fun": lambda d, k=k: (
                (head.weight[k] - head.weight[label]) @ (z + d) + head.bias[k] - head.bias[label]
            ),
        }
        found = minimize(lambda d: d @ d, np.full(len(z), 0.01), constraints=[constraint])
        best = min(best, np.sqrt(found.fun))
    return best


def test_deepfool_distance_is_the_nearest_boundary_when_the_head_is_linear(make_pool):
    pool = make_pool(rows=10, dim=4, dtype=np.float64)
    found = linear_distances(pool.head, torch.tensor(pool.embeddings))
    expected = [boundary_distance(pool.head, z) for z in pool.embeddings]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_deepfool_walk_equals_the_closed_form_when_the_head_is_linear(make_pool):
    pool = make_pool(rows=30, dtype=np.float64)
    z = torch.tensor(pool.embeddings)
    np.testing.assert_allclose(
        walked_distances(pool.head, z, 50), linear_distances(pool.head, z), rtol=1e-9
    )


def test_deepfool_walk_ends_just_behind_the_boundary_when_the_head_is_curved():
    # Class 0 inside the unit circle, class 1 outside. From radius r the linearized step is
    # (1 - r^2) / (2 r): 0.75 from 0.5 and 0.1056 from 0.9 end outside. From 5 several steps come
    # down to the circle, 4 away.
    def head(z):
        return torch.stack([1 - z.square().sum(1), z.square().sum(1) - 1], dim=1)

    z = torch.tensor([[0.5, 0.0], [0.0, 0.9], [3.0, 4.0]], dtype=torch.double)
    found = walked_distances(head, z, 50)
    np.testing.assert_allclose(found[:2], [0.75, 0.19 / 1.8])
    assert 3.9 < found[2] < 4.1


def test_deepfool_distance_is_infinite_when_no_step_flips_the_row():
    head = LinearHead(np.ones((3, 2)), np.array([1.0, 0, 0]))
    z = torch.ones(2, 2, dtype=torch.double)
    assert torch.isinf(linear_distances(head, z)).all()
    assert torch.isinf(walked_distances(head, z, 5)).all()


def test_core_set_takes_the_farthest_row_from_the_labeled_ones(make_pool):
    pool = make_pool(rows=4, dim=2, labels=[0], classes=2, dtype=np.float64)
    pool.labeled_embeddings[:] = 0
    pool.embeddings[:] = [[1, 0], [5, 0], [0, 4], [4.9, 0]]
    np.testing.assert_array_equal(choose("core-set", pool, 3).rows, [1, 2, 0])


def test_cdal_takes_the_prediction_that_differs_most_from_the_labeled_ones(make_pool):
    pool = make_pool(rows=3, dim=3, labels=[0], classes=3, dtype=np.float64)
    pool = dataclasses.replace(pool, head=LinearHead(np.eye(3), np.zeros(3)))
    pool.labeled_embeddings[:] = np.log([0.8, 0.1, 0.1])
    pool.embeddings[:] = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
    # Symmetric KL to (.8, .1, .1): 0.7 ln 8 = 1.456 for the second row; for the third
    # (0.7 ln 8 + 0.1 ln 2 + 0.6 ln 7) / 2 = 1.346; 0.041 for the first.
    np.testing.assert_array_equal(choose("cdal", pool, 2).rows, [1, 2])


def test_margin_kmeans_takes_only_the_least_certain_rows(make_pool):
    pool = make_pool(rows=300)
    doubtful = choose("margin", pool, 15).rows
    assert set(choose("margin-kmeans", pool, 5, beta=3).rows) <= set(doubtful)


def test_dropquery_takes_rows_that_change_their_class(make_pool):
    # Rows 0 to 9 have their whole margin in one feature; it survives dropout at 0.75 only 1 time
    # in 4, and without it class 1 wins by its bias. Rows 10 to 19 are class 1 for sure.
    head = LinearHead(np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]), np.array([0.0, 0.5]))
    embeddings = np.zeros((20, 4))
    embeddings[:10, 0] = 1
    embeddings[:, 1] = np.arange(20)
    pool = dataclasses.replace(
        make_pool(rows=20, dim=4, classes=2, dtype=np.float64), embeddings=embeddings, head=head
    )
    selection = choose("dropquery", pool, 3)
    assert set(selection.rows) <= set(range(10))
    assert 3 < selection.statistics["n_candidates"] <= 10


def test_mean_neighbor_distance_leaves_the_point_itself_out():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    # Half of four: two neighbors each.
    np.testing.assert_allclose(
        mean_neighbor_distance(points, points, 4), [2.0, 1.5, 2.5, 5.0], rtol=1e-6
    )


def test_typiclust_goes_to_the_largest_unlabeled_cluster_first(make_pool):
    # Around 0, 90 and 180 degrees 30, 20 and 10 rows; the largest group holds the labeled row.
    rng = np.random.default_rng(0)
    angle = np.radians(np.repeat([0, 90, 180], [30, 20, 10]) + rng.normal(size=60))
    pool = make_pool(rows=60, dim=2, labels=[0], classes=2, dtype=np.float64)
    pool.embeddings[:] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    pool.labeled_embeddings[:] = [1.0, 0.0]
    rows = choose("typiclust", pool, 2).rows
    assert 30 <= rows[0] < 50
    assert 50 <= rows[1] < 60


def test_pure_radius_is_the_gap_between_two_far_clusters():
    # Two clusters of ten equal points each, 5 apart: every ball up to 5 is pure.
    points = np.repeat([[0.0, 0.0], [3.0, 4.0]], 10, axis=0)
    assert pure_radius(points, 2, np.random.default_rng(0)) == pytest.approx(5)


def test_probcover_takes_the_fullest_ball_first(make_pool):
    angle = np.radians([0, 1, 2, 3, 90, 91, 92, 200])
    pool = make_pool(rows=8, dim=2, labels=[], classes=2, dtype=np.float64)
    pool.embeddings[:] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    pool = dataclasses.replace(pool, ids=np.arange(8))
    rows = choose("probcover", pool, 3, radius=2 * math.sin(math.radians(1.1))).rows
    # Balls of two degrees: rows 1 and 2 hold four rows, then 4, 5, 6 hold three, then row 7.
    np.testing.assert_array_equal(rows[[0, 2]], [1, 7])
    assert rows[1] in (4, 5, 6)


def test_maxherding_prefix_is_the_answer_for_its_length(make_pool):
    pool = make_pool(rows=150)
    whole = choose("maxherding", pool, 30).rows
    np.testing.assert_array_equal(choose("maxherding", pool, 10).rows, whole[:10])


def test_maxherding_works_on_a_sample_when_the_pool_is_large(make_pool):
    selection = choose("maxherding", make_pool(rows=500), 5, considered=100)
    assert selection.statistics["n_considered"] == 100
    assert len(np.unique(selection.rows)) == 5


def test_uherding_is_maxherding_when_every_row_is_equally_doubtful(make_pool):
    pool = make_pool(rows=100)
    flat = dataclasses.replace(pool, head=LinearHead(np.zeros((4, 8)), np.zeros(4)))
    np.testing.assert_array_equal(
        choose("uherding", flat, 10, sigma=1.0).rows, choose("maxherding", pool, 10).rows
    )


def test_tempered_doubt_equals_softmax_at_the_temperature():
    logits = np.array([[2.0, 0.0]])
    p = 1 / (1 + math.exp(-2.0 / 4))
    np.testing.assert_allclose(tempered_doubt(logits, 4), 1 - (2 * p - 1))


def test_labeled_spacing_is_the_smallest_distance_above_zero():
    angle = np.radians([0, 0, 90, 150])
    labeled = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert labeled_spacing(labeled) == pytest.approx(2 * math.sin(math.radians(30)))
    assert labeled_spacing(labeled[:2]) == 1
    assert labeled_spacing(labeled[:0]) == 1


def test_adjacency_equals_the_matrix_it_stands_for():
    nodes = torch.nn.functional.normalize(torch.rand(12, 3, dtype=torch.double))
    similarity = nodes @ nodes.T - torch.eye(12)
    matrix = similarity / similarity.sum(0) + torch.eye(12)
    values = torch.rand(12, 2, dtype=torch.double)
    np.testing.assert_allclose(Adjacency(nodes) @ values, matrix @ values)


def test_labeled_loss_equals_the_papers_formula():
    logits = torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=torch.double)
    p = logits.sigmoid()
    expected = -p[2:].log().mean() - 1.2 * (1 - p[:2]).log().mean()
    assert labeled_loss(logits, 2).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("labels", "trained", "covers"),
    [
        (20 * [0, 1, 2, 3], False, True),
        ([], True, True),
        (80 * [1], True, True),
        ([0, 1], True, False),
        (19 * [0] + [1], True, False),
    ],
)
def test_auto_covers_until_two_classes_have_a_label_then_it_is_alfa_herding(
    labels, trained, covers, make_pool
):
    pool = make_pool(classes=4, labels=labels, **({} if trained else {"head": None}))
    selection = choose("auto", pool, 3)
    assert selection.statistics["regime"] == ("coverage" if covers else "alfa-herding")
    assert (selection.mixing is None) is covers
    expected = choose("maxherding" if covers else "alfa-herding", pool, 3)
    np.testing.assert_array_equal(selection.rows, expected.rows)


@pytest.mark.parametrize(
    ("labels", "typical"), [([0, 1], True), (11 * [0], True), (6 * [0, 1], False)]
)
def test_tcm_is_typiclust_until_classes_have_three_labels_on_average(labels, typical, make_pool):
    pool = make_pool(rows=40, classes=4, labels=labels)
    expected = choose("typiclust" if typical else "margin", pool, 5)
    np.testing.assert_array_equal(choose("tcm", pool, 5).rows, expected.rows)


@pytest.mark.parametrize(("labels", "budget"), [(3 * [0, 1, 2], 4), ([], 4), (3 * [0, 1, 2], 2)])
def test_bait_adds_and_drops_what_leaves_least_unexplained(labels, budget, make_pool):
    """Against plain inverses of the whole matrices, row by row.

    Ten batches are considered at least: all of 30 rows for 4, and 20 that stand for them for 2.
    """
    pool = make_pool(rows=30, dim=4, classes=3, labels=labels, dtype=np.float64)
    considered = considered_rows(pool, budget, 1, np.random.default_rng(0)).tolist()
    assert len(considered) == min(30, 10 * budget)
    ridge = 0.5

    def fisher(embeddings):
        logits = torch.tensor(embeddings @ pool.head.weight.T + pool.head.bias)
        p = logits.softmax(1).numpy().max(1)
        scores = np.sqrt(p * (1 - p))[:, None] * embeddings
        return scores[:, :, None] * scores[:, None]

    rows, labeled = fisher(pool.embeddings), fisher(pool.labeled_embeddings)
    everything = (30 * rows[considered].mean(0) + labeled.sum(0)) / (30 + len(labeled))

    def unexplained(chosen):
        known = (labeled.sum(0) + budget * rows[chosen].sum(0)) / (len(labeled) + budget)
        return np.trace(np.linalg.inv(ridge * np.eye(4) + known) @ everything)

    picked = []
    for _ in range(2 * budget):
        left = [row for row in considered if row not in picked]
        picked.append(min(left, key=lambda row: unexplained([*picked, row])))
    while len(picked) > budget:
        picked.remove(
            min(picked, key=lambda row: unexplained([other for other in picked if other != row]))
        )
    found = choose("bait", pool, budget, ridge=ridge, considered=1)
    np.testing.assert_array_equal(found.rows, picked)
    assert found.statistics["unexplained"] == pytest.approx(unexplained(picked))


def test_refine_is_uherding_when_nothing_is_thinned_out(make_pool):
    pool = make_pool(rows=40, classes=3, labels=3 * [0, 1, 2])
    found = choose("refine", pool, 5, depth=0)
    np.testing.assert_array_equal(found.rows[:5], choose("uherding", pool, 5).rows[:5])


def test_refine_chooses_by_uherding_among_what_any_strategy_picked(make_pool, monkeypatch):
    sizes = []

    def first_rows(pool, budget, _generator):
        sizes.append(len(pool.ids))
        return Picks(rows=np.arange(min(budget, len(pool.ids))))

    def last_rows(pool, budget, _generator):
        return Picks(rows=np.arange(len(pool.ids))[::-1][:budget])

    monkeypatch.setattr(refine, "ENSEMBLE", {"first": first_rows, "last": last_rows})
    pool = make_pool(rows=40, classes=3, labels=3 * [0, 1, 2])
    found = choose("refine", pool, 4, supply=4, depth=2, batches=2, share=1.0)
    # All 40, then the first and the last four; of these eight each picks its half: all stay.
    assert sizes == [40, 8]
    left = np.r_[0:4, 36:40]
    expected = choose("uherding", refine.part_of(pool, left), 4).rows[:4]
    np.testing.assert_array_equal(found.rows[:4], left[expected])
    assert found.statistics["n_left"] == 8
    assert set(found.rows[4:8]) == set(left) - set(found.rows[:4])


def test_refine_draws_smaller_parts_of_what_is_left(make_pool, monkeypatch):
    sizes = []

    def every_row(pool, _budget, _generator):
        sizes.append(len(pool.ids))
        return Picks(rows=np.arange(len(pool.ids)))

    monkeypatch.setattr(refine, "ENSEMBLE", {"all": every_row})
    pool = make_pool(rows=100, classes=3, labels=3 * [0, 1, 2])
    choose("refine", pool, 5, depth=4, batches=1, share=0.5, part=40)
    # The half of 100 but 40 at most, then halves, and no fewer than the budget.
    assert sizes == [40, 20, 10, 5]


def test_alfa_herding_adds_most_worth_again_and_again(make_pool):
    """Against the plain greedy loop, with critical epsilons by the paper's search over epsilons."""
    pool = make_pool(rows=40, dim=5, classes=3, labels=3 * [0, 1, 2], dtype=np.float64)
    mixing = choose("alfa-mix", pool, 4).mixing
    logits = torch.tensor(pool.embeddings @ pool.head.weight.T + pool.head.bias)
    top = np.sort(logits.softmax(1).numpy(), axis=1)[:, ::-1]
    finite = mixing.critical_epsilons[np.isfinite(mixing.critical_epsilons)]
    worth = np.exp(-mixing.critical_epsilons / np.median(finite)) * (1 - top[:, 0] + top[:, 1])
    unit = pool.embeddings / np.linalg.norm(pool.embeddings, axis=1, keepdims=True)
    labeled = pool.labeled_embeddings
    labeled = labeled / np.linalg.norm(labeled, axis=1, keepdims=True)
    apart = np.linalg.norm(labeled[:, None] - labeled[None], axis=2)
    sigma = apart[np.triu_indices(len(labeled), 1)].min()

    def similarity(a, b):
        return np.exp(-((np.linalg.norm(a[:, None] - b[None], axis=2) / sigma) ** 2))

    level, picked = similarity(unit, labeled).max(1), []
    for _ in range(6):
        gains = (np.maximum(similarity(unit, unit), level) - level) @ worth
        gains[picked] = -1
        picked.append(int(gains.argmax()))
        level = np.maximum(level, similarity(unit, unit[picked[-1:]])[:, 0])
    np.testing.assert_array_equal(choose("alfa-herding", pool, 6).rows, picked)


def test_supply_of_alfa_herding_begins_with_the_other_candidates(make_pool):
    pool = make_pool(rows=80, dim=5, classes=3, labels=3 * [0, 1, 2])
    selection = choose("alfa-herding", pool, 6, supply=None)
    supply = selection.rows[6:]
    is_candidate = selection.mixing.is_candidate[supply]
    count = int(is_candidate.sum())
    assert 0 < count < len(supply)
    assert is_candidate[:count].all()
    critical = selection.mixing.critical_epsilons[supply[count:]]
    np.testing.assert_array_equal(critical, np.sort(critical))


def test_closeness_is_one_on_the_boundary_and_zero_where_no_mix_flips():
    found = closeness(np.array([0.0, 1.0, 2.0, 4.0, np.inf]))
    np.testing.assert_allclose(found, [1, np.exp(-1 / 1.5), np.exp(-2 / 1.5), np.exp(-4 / 1.5), 0])
    tied = np.array([0.0, 0.0, 0.0, 5.0], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(closeness(tied), [1, 1, 1, 0])
    np.testing.assert_array_equal(closeness(np.array([np.inf, np.inf])), [0, 0])
