"""The ray against the authors' search as the paper states it: every anchor, every epsilon step."""

import math

import numpy as np
import pytest
import torch

from backend.acquisition.anchors import class_means
from backend.acquisition.heads import LinearHead
from backend.acquisition.ray import critical_epsilons

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
