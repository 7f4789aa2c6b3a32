"""The networks that are trained from labels alone."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from backend.vision import ADAM
from backend.vision.heads import fit_head
from benchmarks.curves.network import NetworkLearner, Recipe, mlp, torchvision_network


def blobs(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centers = 4 * np.eye(3)[labels]
    inputs = torch.from_numpy(centers + rng.normal(0, 0.3, (count, 3))).float()
    return inputs, labels


def learner(epochs, is_continued=False, head=ADAM):
    recipe = Recipe(partial(mlp, 3), 1e-2, epochs)
    return NetworkLearner(recipe, blobs(60, 0)[0], blobs(30, 1)[0], 3, is_continued, head)


def test_mlp_knows_separable_classes_and_its_head_explains_its_predictions():
    found = learner(200).fit(np.arange(30), blobs(60, 0)[1][:30], 0, None)
    np.testing.assert_array_equal(found.predictions, blobs(30, 1)[1])
    assert found.embeddings.shape == (60, 256)
    classes = found.head.logits(found.embeddings).argmax(1)
    np.testing.assert_array_equal(classes, blobs(60, 0)[1])


def test_another_head_is_fitted_on_the_embeddings_that_training_made():
    rows, labels = np.arange(30), blobs(60, 0)[1][:30]
    own, found = (learner(3, head=head).fit(rows, labels, 7, None) for head in (ADAM, "lda"))
    np.testing.assert_array_equal(found.embeddings, own.embeddings)
    expected = fit_head(own.embeddings[rows], labels, 3, "lda", np.random.default_rng(7))
    np.testing.assert_array_equal(found.head.weight, expected.weight)
    np.testing.assert_array_equal(found.head.bias, expected.bias)
    assert np.mean(found.predictions == blobs(30, 1)[1]) > 0.9


def test_fit_repeats_itself_and_leaves_torchs_generator_alone_when_seeds_are_equal():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fits = [learner(3).fit(np.arange(9), blobs(60, 0)[1][:9], seed, None) for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(fits[0].head.weight, fits[1].head.weight)
    assert not np.array_equal(fits[0].head.weight, fits[2].head.weight)


def test_continued_network_starts_from_the_last_rounds_and_leaves_that_as_it_was():
    labels = blobs(60, 0)[1]
    previous = learner(5).fit(np.arange(9), labels[:9], 1, None)
    kept = previous.head.weight.copy()
    still = learner(0, is_continued=True).fit(np.arange(12), labels[:12], 2, previous)
    np.testing.assert_array_equal(still.head.weight, kept)
    learner(5, is_continued=True).fit(np.arange(12), labels[:12], 2, previous)
    np.testing.assert_array_equal(previous.network.head.weight.detach(), kept)


def test_torchvision_networks_end_in_a_linear_head_on_their_embedding():
    for name, width in (("resnet18", 512), ("densenet121", 1024)):
        network = torchvision_network(name, 7, is_pretrained=False).eval()
        with torch.no_grad():
            embedding = network.body(torch.zeros(2, 3, 32, 32))
            assert embedding.shape == (2, width)
            assert torch.equal(network(torch.zeros(2, 3, 32, 32)), network.head(embedding))
        assert network.head.out_features == 7
