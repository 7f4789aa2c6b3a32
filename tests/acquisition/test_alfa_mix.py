"""ALFA-Mix from candidates to the ranked batch."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from backend.acquisition import LinearHead, select
from backend.acquisition.alfa_mix.anchors import anchors_of
from backend.acquisition.alfa_mix.strategy import epsilon_caps, final_cap
from backend.acquisition.contract import Pool
from backend.errors import AcquisitionError


def choose(pool, budget, *, strategy="alfa-mix", supply=0, seed=0, **options):
    generator = np.random.default_rng(seed)
    return select(strategy, pool, budget, generator, supply=supply, options=options)


@pytest.fixture
def line():
    """Rows on a line: the head says class 0 above 0; the farther out, the later it flips.

    Anchors are (10, 0) and (-10, 0). Row i at distance x flips at epsilon sqrt(2) x / (10 + x).
    """
    x = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 5.0, 6.0, 7.0, 8.0, 9.0])
    return Pool(
        embeddings=np.stack([x, np.zeros(10)], axis=1),
        labeled_embeddings=np.array([[10.0, 0.0], [-10.0, 0.0]]),
        labels=np.array([0, 1]),
        num_classes=2,
        head=LinearHead(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2)),
        ids=np.arange(10),
    )


def test_mixing_tells_critical_epsilons_candidates_and_new_classes(line):
    x = line.embeddings[:, 0]
    mixing = choose(line, 4).mixing
    np.testing.assert_allclose(mixing.critical_epsilons, np.sqrt(2) * x / (10 + x))
    np.testing.assert_array_equal(mixing.is_candidate, np.arange(10) < 5)
    np.testing.assert_array_equal(mixing.flips_to, np.ones(10))


def test_candidates_are_those_of_the_first_cap_with_more_than_the_budget(line):
    # Five rows flip below 0.2 and none between 0.2 and 0.4.
    assert choose(line, 4).statistics["n_candidates"] == 5
    assert choose(line, 4).statistics["epsilon"] == pytest.approx(0.2)
    # Six are needed: row 5 flips at 0.471.
    assert choose(line, 5).statistics["n_candidates"] == 8
    assert choose(line, 5).statistics["epsilon"] == pytest.approx(0.6)


def test_selection_fills_up_by_critical_epsilon_when_candidates_are_too_few(line):
    far = dataclasses.replace(line, labeled_embeddings=line.labeled_embeddings / 100)
    selection = choose(far, 7)
    assert selection.statistics["n_candidates"] < 7
    np.testing.assert_array_equal(selection.rows, np.arange(7))


def test_selection_fills_up_by_id_when_critical_epsilons_are_equal(line):
    same = np.repeat(line.embeddings[:1], 10, axis=0)
    ids = np.array([5, 3, 9, 1, 7, 0, 2, 4, 6, 8])
    selection = choose(dataclasses.replace(line, embeddings=same, ids=ids), 4)
    np.testing.assert_array_equal(np.sort(ids[selection.rows[1:]]), ids[selection.rows[1:]])


def test_rank_is_by_cluster_size_then_critical_epsilon(line):
    # Rows of length 1 at these angles flip at sqrt(2) x / distance to (-10, 0): the smaller x, the
    # sooner. The largest cluster flips last; of the two small ones the last rows flip first.
    angle = np.radians([0, 1, 2, 60, 61, -75, -76])
    pool = dataclasses.replace(
        line, embeddings=np.stack([np.cos(angle), np.sin(angle)], axis=1), ids=np.arange(7)
    )
    selection = choose(pool, 3)
    critical = selection.mixing.critical_epsilons
    assert critical[[5, 6]].max() < critical[[3, 4]].min() < critical[1]
    assert selection.rows[0] == 1
    assert selection.rows[1] in (5, 6)
    assert selection.rows[2] in (3, 4)


def test_supply_goes_on_with_candidates_then_by_critical_epsilon(line):
    # Five rows flip below 0.2; three of them are the batch. Rows 5 to 9 flip one after another.
    selection = choose(line, 3, supply=None)
    assert set(selection.rows[3:5]) == set(range(5)) - set(selection.rows[:3])
    np.testing.assert_array_equal(selection.rows[5:], [5, 6, 7, 8, 9])


@pytest.mark.parametrize(
    ("epsilon", "caps"),
    [
        (0.2, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.03125, np.arange(1, 33) / 32),
        (0.3, [0.3, 0.6, 0.9, 1.2]),
        (1.0, [1.0]),
        (3.0, [3.0]),
    ],
)
def test_epsilon_caps_are_multiples_up_to_the_first_that_reaches_one(epsilon, caps):
    np.testing.assert_allclose(epsilon_caps(epsilon), caps)


def test_final_cap_is_the_last_when_no_cap_has_enough_candidates():
    assert final_cap(np.array([0.1, np.inf]), np.array([0.2, 0.4]), 1) == 0.4


@pytest.mark.parametrize("labels", [[], [2], [1, 1, 1]])
def test_alfa_mix_says_what_it_found_when_fewer_than_two_classes_have_labels(labels, make_pool):
    with pytest.raises(AcquisitionError, match=rf"found {len(labels)} labels of \d classes"):
        choose(make_pool(labels=labels), 3)


@pytest.mark.parametrize("strategy", ["alfa-mix", "alfa-mix-exact", "alfa-mix-learned"])
def test_names_say_which_alpha_is_used(strategy, make_pool):
    wanted = {"alfa-mix": "closed_form"}.get(strategy, strategy.removeprefix("alfa-mix-"))
    assert choose(make_pool(), 5, strategy=strategy).statistics["alpha"] == wanted


@pytest.mark.parametrize("alpha", ["closed_form", "exact", "learned", "fixed"])
@pytest.mark.parametrize("anchors", ["class-means", "random-labeled", "none"])
def test_every_alpha_works_with_every_kind_of_anchor(alpha, anchors, make_pool):
    selection = choose(make_pool(), 8, alpha=alpha, anchors=anchors)
    assert len(np.unique(selection.rows)) == 8


@pytest.mark.parametrize("diversify_by", ["kmeans++", "uniform", "alpha-norm", "symmetric-kl"])
def test_every_diversification_picks_candidates(diversify_by, make_pool):
    selection = choose(make_pool(rows=400), 8, diversify_by=diversify_by, supply=4)
    assert selection.statistics["n_candidates"] > 12
    assert selection.mixing.is_candidate[selection.rows].all()
    assert len(np.unique(selection.rows)) == 12


def test_alpha_norm_takes_the_smallest_critical_epsilons(make_pool):
    selection = choose(make_pool(rows=400), 8, diversify_by="alpha-norm")
    critical = selection.mixing.critical_epsilons
    np.testing.assert_array_equal(selection.rows, np.argsort(critical)[:8])


def test_symmetric_kl_takes_the_largest_change_of_the_prediction(make_pool):
    pool = make_pool(rows=300, dtype=np.float64)
    selection = choose(pool, 5, diversify_by="symmetric-kl")
    epsilon = selection.statistics["epsilon"]
    candidates = np.flatnonzero(selection.mixing.is_candidate)
    anchors = [pool.labeled_embeddings[pool.labels == c].mean(0) for c in range(4)]
    divergence = []
    for row in candidates:
        z = torch.tensor(pool.embeddings[row : row + 1], requires_grad=True)
        logits = pool.head(z)
        loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1))
        (g,) = torch.autograd.grad(loss, z)
        p = logits.softmax(1).detach().numpy()[0]
        changes = []
        for anchor in anchors:
            reach = np.linalg.norm(anchor - pool.embeddings[row]) * epsilon / np.sqrt(8)
            q = pool.head(z.detach() + reach * g / g.norm()).softmax(1).numpy()[0]
            changes.append(0.5 * np.sum(p * np.log(p / q)) + 0.5 * np.sum(q * np.log(q / p)))
        divergence.append(max(changes))
    expected = candidates[np.argsort(divergence)[::-1][:5]]
    np.testing.assert_array_equal(selection.rows, expected)


def test_anchors_are_class_means_without_the_classes_that_lack_labels(make_pool):
    pool = make_pool(classes=4, labels=[3, 0, 3])
    found = anchors_of(pool, "class-means", np.random.default_rng(0))
    z = pool.labeled_embeddings
    np.testing.assert_allclose(found, [z[1], (z[0] + z[2]) / 2], rtol=1e-6)


def test_anchors_are_labeled_rows_of_each_class_when_random(make_pool):
    pool = make_pool(classes=3, labels=[2, 0, 2, 0, 1, 1])
    found = anchors_of(pool, "random-labeled", np.random.default_rng(0))
    for c, anchor in enumerate(found):
        members = pool.labeled_embeddings[pool.labels == c]
        assert (members == anchor.astype(np.float32)).all(1).any()


def test_anchor_is_the_origin_when_there_is_none(make_pool):
    np.testing.assert_array_equal(
        anchors_of(make_pool(), "none", np.random.default_rng(0)), np.zeros((1, 8))
    )
