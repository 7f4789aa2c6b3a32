"""The closed form against the authors' search as the paper states it: all anchors, all caps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.alfa_mix.closed_form import closed_form_flips
from backend.acquisition.engines import blocks as blocks_module
from backend.acquisition.heads import LinearHead

CAPS = 0.2 * np.arange(1, 6)


def critical_epsilons(embeddings, anchors, head):
    """The first of the two answers, which most tests are about."""
    return closed_form_flips(head, embeddings, anchors)[0]


def random_problem(classes, dtype, *, rows=300, dim=24, labeled=None, seed=0):
    """Embeddings, labeled embeddings, labels and a head of moderate confidence."""
    rng = np.random.default_rng(seed)
    labels = np.arange(labeled or 4 * classes) % classes
    centers = rng.normal(size=(classes, dim))
    embeddings = rng.normal(size=(rows, dim)) + centers[rng.integers(classes, size=rows)]
    labeled_embeddings = rng.normal(size=(len(labels), dim)) + centers[labels]
    head = LinearHead(
        (0.5 * centers + 0.1 * rng.normal(size=centers.shape)).astype(dtype),
        rng.normal(size=classes).astype(dtype),
    )
    return embeddings.astype(dtype), labeled_embeddings.astype(dtype), labels, head


def flips_by_search(embeddings, labeled_embeddings, labels, classes, head, caps=CAPS):
    """(caps, N) bool: does Eq. 5's mix with any class's anchor change the prediction?

    A double loop over epsilon steps and anchors in float64 with autograd's gradient; a class
    without labels has the mean of all labels as its anchor, as in the authors' code.
    """
    z = torch.tensor(embeddings, dtype=torch.float64, requires_grad=True)
    logits = head(z)
    predicted = logits.argmax(1)
    loss = torch.nn.functional.cross_entropy(logits, predicted, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, z)
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    z = z.detach()
    flips = np.zeros((len(caps), len(z)), dtype=bool)
    for row, cap in enumerate(caps):
        for c in range(classes):
            members = labeled_embeddings[labels == c]
            mean = (members if len(members) else labeled_embeddings).astype(np.float64).mean(0)
            difference = torch.tensor(mean) - z
            move = cap / math.sqrt(z.shape[1]) * difference.norm(dim=1, keepdim=True) * unit
            flips[row] |= (head(z + move).argmax(1) != predicted).numpy()
    return flips


def near_a_cap(critical, caps=CAPS, tolerance=1e-4):
    """(N,) rows whose critical epsilon is too close to a cap to ask float32 about."""
    return (np.abs(critical[:, None] - caps) < tolerance).any(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_critical_epsilons_equal_search_when_all_classes_have_labels(classes, dtype):
    embeddings, labeled, labels, head = random_problem(classes, dtype)
    critical = critical_epsilons(embeddings, class_means(labeled, labels), head)
    expected = flips_by_search(embeddings, labeled, labels, classes, head)
    sure = ~near_a_cap(critical)
    assert sure.mean() > 0.99
    np.testing.assert_array_equal((critical < CAPS[:, None])[:, sure], expected[:, sure])
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_critical_epsilons_equal_search_when_classes_lack_labels(classes):
    embeddings, labeled, labels, head = random_problem(classes, np.float64)
    seen = labels < max(2, classes // 2)
    labeled, labels = labeled[seen], labels[seen]
    critical = critical_epsilons(embeddings, class_means(labeled, labels), head)
    expected = flips_by_search(embeddings, labeled, labels, classes, head)
    np.testing.assert_array_equal(critical < CAPS[:, None], expected)


def test_critical_epsilons_equal_hand_calculation_when_there_are_two_classes():
    # Logits (z_0, 0); z = (1, 0), pseudo-label 0. g points to -z_0; the prediction flips after a
    # step of 1. Anchors at (4, 4) and (1, 2): the farthest is 5 away. sqrt(2) * 1 / 5.
    head = LinearHead(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2))
    critical = critical_epsilons(np.array([[1.0, 0.0]]), np.array([[4.0, 4.0], [1.0, 2.0]]), head)
    np.testing.assert_allclose(critical, [math.sqrt(2) / 5])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_critical_epsilons_stay_right_when_a_row_equals_an_anchor(dtype):
    embeddings, labeled, labels, head = random_problem(3, dtype, rows=20)
    anchors = class_means(labeled, labels)
    embeddings[:3] = anchors
    critical = critical_epsilons(embeddings, anchors, head)
    expected = flips_by_search(embeddings, labeled, labels, 3, head)
    sure = ~near_a_cap(critical)
    np.testing.assert_array_equal((critical < CAPS[:, None])[:, sure], expected[:, sure])
    assert np.isfinite(critical[:3]).all()


def test_critical_epsilons_are_infinite_when_the_only_anchor_is_the_row_itself():
    head = LinearHead(np.array([[1.0, 0.0], [0.0, 1.0]]), np.zeros(2))
    critical = critical_epsilons(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[1.0, 0.0]]), head)
    assert critical[0] == np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_critical_epsilons_are_equal_when_rows_repeat(dtype):
    embeddings, labeled, labels, head = random_problem(10, dtype, rows=50)
    embeddings[25:] = embeddings[:25]
    critical = critical_epsilons(embeddings, class_means(labeled, labels), head)
    np.testing.assert_allclose(critical[25:], critical[:25], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_critical_epsilons_are_infinite_when_the_head_is_constant(dtype):
    embeddings, labeled, labels, _ = random_problem(5, dtype)
    row = np.random.default_rng(3).normal(size=24)
    for bias in (np.zeros(5), np.arange(5)):
        head = LinearHead(np.tile(row, (5, 1)).astype(dtype), bias.astype(dtype))
        assert np.isinf(critical_epsilons(embeddings, class_means(labeled, labels), head)).all()


def test_critical_epsilons_are_infinite_when_only_a_twin_class_is_left():
    # Classes 0 and 1 have the same weights and bias: neither can overtake the other.
    rng = np.random.default_rng(0)
    row = rng.normal(size=24)
    head = LinearHead(np.stack([row, row]).astype(np.float32), np.zeros(2, np.float32))
    embeddings = rng.normal(size=(50, 24)).astype(np.float32)
    assert np.isinf(critical_epsilons(embeddings, rng.normal(size=(2, 24)), head)).all()


def test_critical_epsilons_equal_search_when_float32_probabilities_round_to_one():
    embeddings, labeled, labels, head = random_problem(10, np.float32, rows=400)
    margins = head(torch.tensor(embeddings)).topk(2).values @ torch.tensor([1.0, -1.0])
    # In float32 1 - p_y is 0 above a margin of 17; in float64, where the search works, above 36.
    scale = 33 / float(margins.max())
    assert ((scale * margins) > 17).float().mean() > 0.05
    sure_head = LinearHead(head.weight * scale, head.bias * scale)
    critical = critical_epsilons(embeddings, class_means(labeled, labels), sure_head)
    expected = flips_by_search(embeddings, labeled, labels, 10, sure_head)
    sure = ~near_a_cap(critical)
    np.testing.assert_array_equal((critical < CAPS[:, None])[:, sure], expected[:, sure])


def test_critical_epsilons_do_not_fall_when_the_head_gets_surer():
    # For two classes the direction does not depend on the head's scale, so neither does epsilon.
    embeddings, labeled, labels, head = random_problem(2, np.float32)
    anchors = class_means(labeled, labels)
    sure_head = LinearHead(head.weight * 1000, head.bias * 1000)
    np.testing.assert_allclose(
        critical_epsilons(embeddings, anchors, sure_head),
        critical_epsilons(embeddings, anchors, head),
        rtol=1e-4,
    )


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_critical_epsilons_do_not_move_when_embeddings_and_anchors_do(shift):
    embeddings, labeled, labels, head = random_problem(10, np.float64)
    anchors = class_means(labeled, labels)
    moved_bias = head.bias - shift * head.weight.sum(1)
    moved = critical_epsilons(
        embeddings + shift, anchors + shift, LinearHead(head.weight, moved_bias)
    )
    np.testing.assert_allclose(moved, critical_epsilons(embeddings, anchors, head), rtol=1e-7)


def walks_to(embeddings, anchors, head, critical, beyond):
    """(N,) classes predicted `beyond` the critical step along each row's ray; float64, autograd.

    The loss is log(1 + exp(f)) with f = logsumexp of the rivals' logits - the label's, so that f's
    gradient has the same direction; it keeps its digits where the head is sure.
    """
    z = torch.tensor(embeddings, requires_grad=True)
    logits = head(z)
    is_label = torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).bool()
    f = logits.masked_fill(is_label, -torch.inf).logsumexp(1) - logits[is_label]
    (gradient,) = torch.autograd.grad(f.sum(), z)
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    reach = torch.cdist(z.detach(), torch.tensor(anchors)).amax(1) / math.sqrt(z.shape[1])
    step = torch.tensor(critical) * reach + beyond
    return head(z.detach() + step[:, None] * unit).argmax(1).numpy()


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("lacking", [False, True])
def test_rows_flip_to_the_class_that_is_predicted_just_beyond_the_critical_step(classes, lacking):
    embeddings, labeled, labels, head = random_problem(classes, np.float64, rows=1000)
    seen = labels < max(2, classes // 2) if lacking else labels >= 0
    anchors = class_means(labeled[seen], labels[seen])
    critical, flips_to = closed_form_flips(head, embeddings, anchors)
    assert np.isfinite(critical).all()
    assert flips_to.dtype == np.int64
    beyond = walks_to(embeddings, anchors, head, critical, 1e-9)
    before = walks_to(embeddings, anchors, head, critical, -1e-9)
    np.testing.assert_array_equal(flips_to, beyond)
    np.testing.assert_array_equal(before, head(torch.tensor(embeddings)).argmax(1))
    assert (flips_to != before).all()


def test_row_flips_to_the_steepest_rival_when_several_overtake_at_once():
    # All logits of the zero row are 0. Its rivals weigh the same, so g = (w_1 + w_2) / 2 - w_0 =
    # (1.5, 1) up to its length: class 1 rises by 2 and class 2 by 4.5, both from the start.
    head = LinearHead(np.array([[0.0, 0.0], [2.0, -1.0], [1.0, 3.0]]), np.zeros(3))
    anchors = np.array([[1.0, 0.0]])
    critical, flips_to = closed_form_flips(head, np.zeros((1, 2)), anchors)
    assert critical.tolist() == [0]
    assert flips_to.tolist() == [2]
    np.testing.assert_array_equal(walks_to(np.zeros((1, 2)), anchors, head, critical, 1e-9), [2])


def test_rows_that_never_flip_keep_their_class():
    head = LinearHead(np.ones((3, 2)), np.array([0.0, 0.5, 0.0]))
    critical, flips_to = closed_form_flips(head, np.ones((4, 2)), np.zeros((1, 2)))
    assert np.isinf(critical).all()
    np.testing.assert_array_equal(flips_to, [1, 1, 1, 1])


def test_row_that_cannot_move_keeps_its_class_when_its_logits_are_tied():
    # Row and only anchor are the same point, where both logits are 1.
    head = LinearHead(np.eye(2), np.zeros(2))
    critical, flips_to = closed_form_flips(head, np.ones((1, 2)), np.ones((1, 2)))
    assert critical.tolist() == [np.inf]
    assert flips_to.tolist() == [0]


def test_flips_are_those_of_one_block_when_the_pool_needs_several(monkeypatch):
    embeddings, labeled, labels, head = random_problem(4, np.float64, rows=100)
    anchors = class_means(labeled, labels)
    critical, flips_to = closed_form_flips(head, embeddings, anchors)
    monkeypatch.setattr(blocks_module, "BLOCK_ROWS", 7)
    assert len(list(blocks_module.blocks(embeddings))) == 15
    parts = closed_form_flips(head, embeddings, anchors)
    np.testing.assert_allclose(parts[0], critical, rtol=1e-12)
    np.testing.assert_array_equal(parts[1], flips_to)
