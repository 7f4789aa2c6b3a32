"""Moves and searches against loops over anchors, epsilons and autograd gradients."""

import math

import numpy as np
import pytest
import torch

from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.alfa_mix.closed_form import critical_epsilons
from backend.acquisition.alfa_mix.learned_alpha import flips_by_learning
from backend.acquisition.alfa_mix.mixing import (
    affine_critical_epsilons,
    closed_form_move,
    exact_move,
    fixed_move,
    flips_by,
    loss_direction,
    stepped_critical_epsilons,
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
    """Return (N, D) normalized gradients of the cross-entropy at the pseudo-labels, by autograd."""
    z = torch.tensor(embeddings, dtype=torch.float64, requires_grad=True)
    logits = head(z)
    loss = torch.nn.functional.cross_entropy(logits, logits.argmax(1), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z)
    return (gradient / gradient.norm(dim=1, keepdim=True)).numpy()


def alpha_of(kind, z, anchor, gradient):
    """Return alpha (D,) of the paper for epsilon = 1, one row and one anchor."""
    difference = anchor - z
    if kind == "closed_form":
        return np.linalg.norm(difference) / math.sqrt(len(z)) * gradient / difference
    return difference * gradient / np.linalg.norm(difference * gradient)


def first_flipping_cap(kind, head, pool, anchors):
    """Return (N,) the first cap whose mix with any anchor changes the prediction, row by row."""
    gradients = unit_gradients(head, pool.embeddings)
    caps = np.full(len(pool.embeddings), np.inf)
    for row, (z, gradient) in enumerate(zip(pool.embeddings, gradients, strict=True)):
        label = head(torch.tensor(z[None])).argmax()
        for cap in CAPS[::-1]:
            for anchor in anchors:
                alpha = cap * alpha_of(kind, z, anchor, gradient)
                mix = (1 - alpha) * z + alpha * anchor
                if head(torch.tensor(mix[None])).argmax() != label:
                    caps[row] = cap
    return caps


@pytest.mark.parametrize(
    ("kind", "move"), [("closed_form", closed_form_move), ("exact", exact_move)]
)
def test_stepped_critical_epsilons_equal_loops_when_the_head_is_a_network(
    kind, move, network, make_pool
):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    expected = first_flipping_cap(kind, network, pool, anchors)
    found = stepped_critical_epsilons(
        network, pool.embeddings, anchors, flips_by(network, move), CAPS, budget=80
    )
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(expected).any()


@pytest.mark.parametrize("kind", ["closed_form", "exact"])
def test_affine_critical_epsilons_equal_loops_when_the_head_is_linear(kind, make_pool):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    move = closed_form_move if kind == "closed_form" else exact_move
    expected = first_flipping_cap(kind, pool.head, pool, anchors)
    found = affine_critical_epsilons(pool.head, pool.embeddings, anchors, move)
    caps = np.append(CAPS, np.inf)[np.searchsorted(CAPS, found, side="left")]
    np.testing.assert_array_equal(caps, expected)


def test_affine_critical_epsilons_equal_the_ray_when_alpha_is_the_closed_form(make_pool):
    pool = make_pool(rows=300, classes=10, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    np.testing.assert_allclose(
        affine_critical_epsilons(pool.head, pool.embeddings, anchors, closed_form_move),
        critical_epsilons(pool.embeddings, anchors, pool.head),
        rtol=1e-9,
    )


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


def test_stepped_critical_epsilons_stop_early_when_enough_rows_flip(network, make_pool):
    pool = make_pool(rows=80, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    flips = flips_by(network, closed_form_move)
    whole = stepped_critical_epsilons(network, pool.embeddings, anchors, flips, CAPS, budget=80)
    few = int((whole <= CAPS[1]).sum()) - 1
    found = stepped_critical_epsilons(network, pool.embeddings, anchors, flips, CAPS, budget=few)
    np.testing.assert_array_equal(found, np.where(whole <= CAPS[1], whole, np.inf))


def test_fixed_move_mixes_by_the_given_alpha(make_pool):
    pool = make_pool(rows=60, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    alpha = np.random.default_rng(0).random(8)
    found = affine_critical_epsilons(
        pool.head, pool.embeddings, anchors, fixed_move(torch.tensor(alpha))
    )
    label = pool.head(torch.tensor(pool.embeddings)).argmax(1)
    for cap in (0.3, 0.6, 1.0):
        flipped = np.zeros(60, dtype=bool)
        for anchor in anchors:
            mix = (1 - cap * alpha) * pool.embeddings + cap * alpha * anchor
            flipped |= (pool.head(torch.tensor(mix)).argmax(1) != label).numpy()
        np.testing.assert_array_equal(found < cap, flipped)


def test_learned_alpha_raises_the_loss_when_the_box_allows_it(make_pool):
    # One dimension of the difference helps the rival, one hurts: alpha must go to the box's ends,
    # moving z = (1, 1) toward the anchor in dimension 0 alone: 1 + 0.5 * (-4) = -1 flips.
    head = LinearHead(np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([0.0, 1.0]))
    flips = flips_by_learning(head)
    z, label = torch.tensor([[1.0, 1.0]]).double(), torch.tensor([0])
    anchor = torch.tensor([-3.0, 3.0]).double()
    assert flips(z, label, torch.zeros(1, 2), anchor, 0.4).item()
    assert not flips(z, label, torch.zeros(1, 2), anchor, 0.2).item()


def test_learned_alpha_flips_almost_what_the_best_corner_of_its_box_flips(make_pool):
    pool = make_pool(rows=150, dtype=np.float64)
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    z = torch.tensor(pool.embeddings)
    label = pool.head(z).argmax(1)
    flips = flips_by_learning(pool.head)
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
        learned = flips(z, label, torch.zeros_like(z), anchor, 0.3)
        assert not (learned & ~reachable).any()
        found, possible = found + int(learned.sum()), possible + int(reachable.sum())
    assert found >= 0.9 * possible > 0
