"""Networks see batches of few sizes, and give what they would give for the batch alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.vision.batch_sizes import STEP, filled
from backend.vision.training import Classifier, TrainingConfig, new_head, train


@pytest.mark.parametrize(("rows", "expected"), [(1, 8), (7, 8), (8, 8), (9, 16), (64, 64)])
def test_batch_is_filled_up_to_a_multiple_with_copies_of_its_last_row(rows: int, expected: int):
    batch = torch.arange(2.0 * rows).reshape(rows, 2)
    found = filled(batch)
    assert found.shape == (expected, 2)
    assert torch.equal(found[:rows], batch)
    assert torch.equal(found[rows:], batch[-1:].expand(expected - rows, 2))


class Recording(nn.Module):
    """A tail that notes how many rows it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.sizes: set[int] = set()

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        self.sizes.add(len(activations))
        return self.layer(activations)


def trained(count: int) -> tuple[Classifier, Recording]:
    """A classifier after one epoch on so many rows."""
    torch.manual_seed(0)
    tail = Recording()
    classifier = Classifier(tail, new_head(4, 2, torch.Generator().manual_seed(0)))
    rows = torch.randn(count, 3, generator=torch.Generator().manual_seed(1))
    config = TrainingConfig(epoch_limit=1, batch_size=64, head_lr=0.1, block_lr=0.1)
    labels = (rows[:, 0] > 0).long()
    train(classifier, rows, labels, config, torch.Generator().manual_seed(2), lambda *_: None)
    return classifier, tail


def test_training_calls_the_network_with_few_sizes_whatever_the_number_of_labels():
    sizes = set[int]().union(*(trained(count)[1].sizes for count in range(1, 130)))
    assert sizes == set(range(STEP, 65, STEP))


def test_training_gives_the_weights_that_the_batch_alone_gives(monkeypatch: pytest.MonkeyPatch):
    found = trained(13)[0].state_dict()
    monkeypatch.setattr("backend.vision.training.filled", lambda batch: batch)
    alone, tail = trained(13)
    assert tail.sizes == {13}
    for name, expected in alone.state_dict().items():
        torch.testing.assert_close(found[name], expected)
