"""The ray against the authors' search as the paper states it: every anchor, every epsilon step."""

import math

import numpy as np
import pytest
import torch

from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.alfa_mix.closed_form import critical_epsilons
from backend.acquisition.heads import LinearHead

CAPS = 0.2 * np.arange(1, 6)


def random_problem(classes, dtype, *, rows=300, dim=24, labeled=None, seed=0):
    """Return embeddings, labeled embeddings, labels and a head of moderate confidence."""
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
    """Return (caps, N) bool: does Eq. 5's mix with any class's anchor change the prediction?

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
    """Return (N,) rows whose critical epsilon is too close to a cap to ask float32 about."""
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


def test_critical_epsilons_equal_one_block_when_the_pool_needs_several(monkeypatch):
    embeddings, labeled, labels, head = random_problem(4, np.float64, rows=100)
    anchors = class_means(labeled, labels)
    whole = critical_epsilons(embeddings, anchors, head)
    parts = [critical_epsilons(embeddings[i : i + 7], anchors, head) for i in range(0, 100, 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12)
