"""The head as arrays."""

from __future__ import annotations

import numpy as np
import torch

from backend.vision.linear_head import LinearHead

HEAD = LinearHead(np.array([[1, 0], [0, 2]], np.float32), np.array([0, 1], np.float32))


def test_probabilities_equal_the_hand_calculation() -> None:
    embeddings = np.array([[3.0, 1.0], [0.0, 0.0]])
    # logits (3, 3) and (0, 1); softmax of the second is 1 / (1 + e) and e / (1 + e)
    expected = [[0.5, 0.5], [1 / (1 + np.e), np.e / (1 + np.e)]]
    np.testing.assert_allclose(HEAD.probabilities(embeddings), expected, rtol=1e-6)


def test_probabilities_are_finite_when_logits_are_huge() -> None:
    probabilities = HEAD.probabilities(np.array([[1e6, -1e6]], np.float32))
    np.testing.assert_array_equal(probabilities, [[1, 0]])


def test_probabilities_have_no_row_when_there_is_no_image() -> None:
    assert HEAD.probabilities(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_from_tensors_takes_the_head_when_a_tail_is_there() -> None:
    linear = torch.nn.Linear(2, 3)
    tensors = {
        "tail.norm.weight": torch.ones(2),
        **{f"head.{name}": value.detach() for name, value in linear.named_parameters()},
    }
    head = LinearHead.from_tensors(tensors)
    embeddings = torch.randn(4, 2)
    np.testing.assert_allclose(
        head.logits(embeddings.numpy()), linear(embeddings).detach().numpy(), rtol=1e-5, atol=1e-6
    )
