"""Moves and searches against loops over anchors, epsilons and autograd gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.alfa_mix.closed_form import closed_form_flips
from backend.acquisition.alfa_mix.learned_alpha import flip_by_learning
from backend.acquisition.alfa_mix.mixing import (
    affine_flips,
    closed_form_move,
    exact_move,
    fixed_move,
    flip_by,
    loss_direction,
    stepped_flips,
)
from backend.acquisition.heads import LinearHead

CAPS = 0.2 * np.arange(1, 6)


@pytest.fixture
def network():
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 12), torch.nn.Tanh(), torch.nn.Linear(12, 4)
    ).double()


def unit_gradients(head, embeddings):
    """(N, D) normalized gradients of the cross-entropy at the pseudo-labels, by autograd."""
    z = torch.tensor(embeddings, dtype=torch.float64, requires_grad=True)
    logits = head(z)
    loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z)
    return (gradient / gradient.norm(dim=1, keepdim=True)).numpy()


def alpha_of(kind, z, anchor, gradient):
    """Alpha (D,) of the paper for epsilon = 1, one row and one anchor."""
    difference = anchor - z
    if kind == "closed_form":
        return np.linalg.norm(difference) / math.sqrt(len(z)) * gradient / difference
    return difference * gradient / np.linalg.norm(difference * gradient)


def first_flips(kind, head, pool, anchors):
    """The first cap whose mix with an anchor flips each row, and the first such mix's class.

    Row by row, cap by cap, anchor by anchor; inf and the row's own class where none does.
    """
    gradients = unit_gradients(head, pool.embeddings)
    caps, classes = np.full(len(pool.embeddings), np.inf), np.empty(len(pool.embeddings), int)
    for row, (z, gradient) in enumerate(zip(pool.embeddings, gradients, strict=True)):
        classes[row] = label = int(head(torch.tensor(z[None])).argmax())
        mixes = [(cap, anchor) for cap in CAPS for anchor in anchors]
        for cap, anchor in mixes[::-1]:
            alpha = cap * alpha_of(kind, z, anchor, gradient)
            mix = (1 - alpha) * z + alpha * anchor
            found = int(head(torch.tensor(mix[None])).argmax())
            if found != label:
                caps[row], classes[row] = cap, found
    return caps, classes


@pytest.mark.parametrize(
    ("kind", "move"), [("closed_form", closed_form_move), ("exact", exact_move)]
)
def test_stepped_flips_equal_loops_when_the_head_is_a_network(kind, move, network, make_pool):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    expected = first_flips(kind, network, pool, anchors)
    found = stepped_flips(
        flip_by(network, move), network, pool.embeddings, anchors, CAPS, budget=80
    )
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.isfinite(expected[0]).sum() < 80
    assert len(np.unique(expected[1])) > 1


@pytest.mark.parametrize("kind", ["closed_form", "exact"])
def test_affine_critical_epsilons_equal_loops_when_the_head_is_linear(kind, make_pool):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    move = closed_form_move if kind == "closed_form" else exact_move
    expected, _ = first_flips(kind, pool.head, pool, anchors)
    found, _ = affine_flips(pool.head, pool.embeddings, anchors, move)
    caps = np.append(CAPS, np.inf)[np.searchsorted(CAPS, found, side="left")]
    np.testing.assert_array_equal(caps, expected)


@pytest.mark.parametrize("kind", ["closed_form", "exact"])
def test_affine_flips_are_to_the_class_of_the_only_mix_that_flips_just_beyond(kind, make_pool):
    pool = make_pool(rows=80, classes=6, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    move = closed_form_move if kind == "closed_form" else exact_move
    critical, flips_to = affine_flips(pool.head, pool.embeddings, anchors, move)
    gradients = unit_gradients(pool.head, pool.embeddings)
    label = pool.head(torch.tensor(pool.embeddings)).argmax(1).numpy()
    assert np.isfinite(critical).all()
    for row, z in enumerate(pool.embeddings):
        alphas = [critical[row] * alpha_of(kind, z, a, gradients[row]) for a in anchors]
        for share, wanted in ((1 - 1e-9, set()), (1 + 1e-9, {flips_to[row]})):
            mixes = [z + share * alpha * (a - z) for alpha, a in zip(alphas, anchors, strict=True)]
            classes = pool.head(torch.tensor(np.stack(mixes))).argmax(1)
            assert set(classes.tolist()) - {label[row]} == wanted


def test_affine_flips_equal_the_closed_forms_when_alpha_is_the_closed_form(make_pool):
    pool = make_pool(rows=300, classes=10, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    affine = affine_flips(pool.head, pool.embeddings, anchors, closed_form_move)
    closed = closed_form_flips(pool.head, pool.embeddings, anchors)
    np.testing.assert_allclose(affine[0], closed[0], rtol=1e-9)
    np.testing.assert_array_equal(affine[1], closed[1])


def test_exact_move_is_the_best_of_all_alphas_when_the_loss_is_linear():
    rng = np.random.default_rng(0)
    difference, gradient = rng.normal(size=(2, 1, 6))
    best = exact_move(torch.tensor(difference), torch.tensor(gradient)).numpy()[0]
    alpha = best / difference[0]
    assert np.linalg.norm(alpha) == pytest.approx(1)
    others = rng.normal(size=(10_000, 6))
    others /= np.linalg.norm(others, axis=1, keepdims=True)
    gains = (others * difference[0]) @ gradient[0]
    assert best @ gradient[0] >= gains.max()


def test_moves_are_zero_when_the_row_equals_the_anchor():
    zero, gradient = torch.zeros(1, 5), torch.ones(1, 5)
    for move in (closed_form_move, exact_move, fixed_move(torch.ones(5))):
        assert move(zero, gradient).abs().max() == 0


def test_exact_move_is_zero_when_the_gradient_is_zero():
    assert exact_move(torch.ones(1, 5), torch.zeros(1, 5)).abs().max() == 0


def test_loss_direction_is_autograds_when_the_head_is_a_network(network, make_pool):
    pool = make_pool(rows=30, dtype=np.float64)
    _, _, unit = loss_direction(network, torch.tensor(pool.embeddings))
    np.testing.assert_allclose(unit, unit_gradients(network, pool.embeddings), atol=1e-12)


def test_loss_direction_keeps_its_length_when_the_head_is_sure_in_float32():
    head = LinearHead(np.array([[90.0, 0, 0], [0, 0, 0], [0, 10, 0]], np.float32), np.zeros(3))
    _, _, unit = loss_direction(head, torch.tensor([[2.0, 1.0, 0.0]]))
    # Rivals weigh softmax(0, 10): all but 4.5e-5 on class 2, so g = (-90, 10, 0) up to 1e-3.
    expected = np.array([-90, 10, 0]) / np.hypot(90, 10)
    np.testing.assert_allclose(unit[0], expected, atol=1e-4)


def test_loss_direction_is_zero_when_the_head_is_constant():
    _, _, unit = loss_direction(lambda z: z.sum(1, keepdim=True) + torch.zeros(3), torch.ones(2, 4))
    assert unit.abs().max() == 0


def test_stepped_flips_stop_early_when_enough_rows_flip(network, make_pool):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    flip = flip_by(network, closed_form_move)

    def flips(budget):
        return stepped_flips(flip, network, pool.embeddings, anchors, CAPS, budget)

    critical, flips_to = flips(80)
    is_early = critical <= CAPS[1]
    found, found_to = flips(int(is_early.sum()) - 1)
    label = network(torch.tensor(pool.embeddings)).argmax(1)
    np.testing.assert_array_equal(found, np.where(is_early, critical, np.inf))
    np.testing.assert_array_equal(found_to, np.where(is_early, flips_to, label))
    assert is_early.sum() < np.isfinite(critical).sum()


def test_fixed_move_mixes_by_the_given_alpha(make_pool):
    pool = make_pool(rows=60, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    alpha = np.random.default_rng(0).random(8)
    found, _ = affine_flips(pool.head, pool.embeddings, anchors, fixed_move(torch.tensor(alpha)))
    label = pool.head(torch.tensor(pool.embeddings)).argmax(1)
    for cap in (0.3, 0.6, 1.0):
        flipped = np.zeros(60, dtype=bool)
        for anchor in anchors:
            mix = (1 - cap * alpha) * pool.embeddings + cap * alpha * anchor
            flipped |= (pool.head(torch.tensor(mix)).argmax(1) != label).numpy()
        np.testing.assert_array_equal(found < cap, flipped)


def test_learned_alpha_raises_the_loss_when_the_box_allows_it():
    # One dimension of the difference helps the rival, one hurts: alpha must go to the box's ends,
    # moving z = (1, 1) toward the anchor in dimension 0 alone: 1 + 0.5 * (-4) = -1 flips.
    head = LinearHead(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([0.0, 1.0]))
    flip = flip_by_learning(head)
    z, label = torch.tensor([[1.0, 1.0]]).double(), torch.tensor([0])
    anchor = torch.tensor([-3.0, 3.0]).double()
    assert flip(z, label, torch.zeros(1, 2), anchor, 0.4).item() == 1
    assert flip(z, label, torch.zeros(1, 2), anchor, 0.2).item() == 0


def test_learned_alpha_gives_the_class_of_the_first_flip_on_the_way():
    # Logits (0, 3 - 2 z, 6 - 6 z) at z = 2, the anchor at 0. alpha starts at 0.32, whose mix 1.36
    # has (0, 0.28, -2.16): class 1. From alpha = 0.625 on class 2 leads, and the ascent ends there.
    head = LinearHead(np.array([[0.0], [-2.0], [-6.0]]), np.array([0.0, 3.0, 6.0]))
    flip = flip_by_learning(head)
    z, anchor = torch.tensor([[2.0]]).double(), torch.zeros(1).double()
    assert head(z + 0.64 * (anchor - z)).argmax(1).item() == 2
    assert flip(z, torch.tensor([0]), torch.zeros(1, 1), anchor, 0.64).item() == 1


def test_learned_alpha_flips_almost_what_the_best_corner_of_its_box_flips(make_pool):
    pool = make_pool(rows=150, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    z = torch.tensor(pool.embeddings)
    label = pool.head(z).argmax(1)
    flip = flip_by_learning(pool.head)
    weight = torch.tensor(pool.head.weight)
    found, possible = 0, 0
    for anchor in torch.tensor(anchors):
        difference = anchor - z
        margins = pool.head(z)[:, :, None] - pool.head(z)[:, None, :]
        # For each rival the best alpha is a corner: epsilon where the rival gains, else 0.
        rival_gain = (weight[None] - weight[label][:, None]) * difference[:, None]
        best = 0.3 * rival_gain.clamp(min=0).sum(2)
        gap = margins[torch.arange(150), label]
        reachable = (best > gap).any(1)
        learned = flip(z, label, torch.zeros_like(z), anchor, 0.3) != label
        assert not (learned & ~reachable).any()
        found, possible = found + int(learned.sum()), possible + int(reachable.sum())
    assert found >= 0.9 * possible > 0
