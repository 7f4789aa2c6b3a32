"""Fine-tuning: cross-entropy on all labels until nearly all are predicted right.

As in the ALFA-Mix paper: Adam, batches of 64, no validation set (labels are too few to spare any),
until training accuracy passes 99 %. Every round starts again from the pre-trained weights.

Legend: L labeled images, K classes, D embedding.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from backend.vision.batch_sizes import filled
from backend.vision.device import autocast

Progress = Callable[[int, int], None]
"""Called with (done, total). It may raise to stop the work."""


@dataclass(frozen=True)
class TrainingConfig:
    """Defaults: the paper's, but `block_lr`, which it leaves open.

    head_lr: Adam's step for the linear head.
    block_lr: Adam's step for the ViT's own weights.
    stop_accuracy: training ends after the first epoch above this.
    """

    epoch_limit: int = 60
    batch_size: int = 64
    head_lr: float = 1e-3
    block_lr: float = 5e-5
    stop_accuracy: float = 0.99


@dataclass(frozen=True)
class TrainingOutcome:
    """How training ended.

    train_accuracy, loss: means over the last epoch, each batch taken before its own step.
    """

    epochs: int
    train_accuracy: float
    loss: float
    seconds: float


class Classifier(nn.Module):
    """Activations to logits: a trainable tail and a linear head on centered embeddings.

    The embeddings' mean, which all images share, would dominate the head's gradients: centered,
    with 20 to 100 labels of CIFAR-10, accuracy was 1 to 3 points higher in fewer epochs. `head` is
    the trained parameter; `merged_head` is the head for the embeddings as they are.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, tail: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.tail = tail
        self.head = head
        self.register_buffer("mean", torch.zeros(head.in_features))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        """(B, ...) activations to (B, K) logits."""
        return self.head(self.inputs(activations))

    def inputs(self, activations: torch.Tensor) -> torch.Tensor:
        """What the head sees of (B, ...) activations: (B, D) centered embeddings."""
        return (self.tail(activations) - self.mean) / self.scale

    @property
    def is_head_only(self) -> bool:
        """Whether the tail has no weights to train."""
        return next(self.tail.parameters(), None) is None

    @torch.no_grad()
    def embeddings(self, activations: torch.Tensor, batch_size: int) -> torch.Tensor:
        """(L, D) float32 embeddings of (L, ...) activations, as they are."""
        device = self.mean.device
        with autocast(device):
            parts = [
                self.tail(filled(part.to(device)))[: len(part)].float()
                for part in activations.split(batch_size)
            ]
        return torch.cat(parts)

    @torch.no_grad()
    def center(self, activations: torch.Tensor, batch_size: int) -> None:
        """Fix mean (per feature) and scale (one for all) to those of (L, ...) activations."""
        embeddings = self.embeddings(activations, batch_size)
        self.mean.copy_(embeddings.mean(dim=0))
        scale = (embeddings - self.mean).square().mean().sqrt()
        self.scale.copy_(scale if scale > 0 else torch.ones_like(scale))

    @torch.no_grad()
    def merged_head(self) -> nn.Linear:
        """The linear layer that gives the same logits from embeddings that are not centered."""
        merged = copy.deepcopy(self.head)
        merged.weight.div_(self.scale)
        merged.bias.sub_(merged.weight @ self.mean)
        return merged


def new_head(embedding_dim: int, num_classes: int, generator: torch.Generator) -> nn.Linear:
    """A linear head, (D) to (K), with torch's default initialization drawn from `generator`."""
    head = nn.Linear(embedding_dim, num_classes)
    bound = embedding_dim**-0.5
    with torch.no_grad():
        head.weight.uniform_(-bound, bound, generator=generator)
        head.bias.zero_()
    return head


def train(
    classifier: Classifier,
    activations: torch.Tensor,
    labels: torch.Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    on_progress: Progress,
) -> TrainingOutcome:
    """How fitting `classifier` in place ended.

    The modules stay in evaluation mode: labels are few, and dropout would draw from torch's global
    generator. On one thread, equal arguments give equal weights.

    Args:
        activations: (L, ...) of the split's trunk, in its storage dtype, on the CPU.
        labels: (L,) int64 class numbers.
        generator: draws the order of the batches.
        on_progress: called with (epochs done, epoch_limit) after each epoch.
    """
    started = time.monotonic()
    classifier.center(activations, config.batch_size)
    optimizer = _adam(classifier, config)
    network: nn.Module = classifier
    if classifier.is_head_only:  # what the head sees never changes: it is made once
        network = classifier.head
        activations = classifier.inputs(activations.to(classifier.mean.device))
    accuracy, loss, epoch = 0.0, float("inf"), 0
    while epoch < config.epoch_limit and accuracy <= config.stop_accuracy:
        order = torch.randperm(len(labels), generator=generator)
        batches = order.split(config.batch_size)
        accuracy, loss = _epoch(network, optimizer, activations, labels, batches)
        epoch += 1
        on_progress(epoch, config.epoch_limit)
    return TrainingOutcome(epoch, accuracy, loss, time.monotonic() - started)


def _adam(classifier: Classifier, config: TrainingConfig) -> torch.optim.Adam:
    groups = [
        {"params": list(classifier.head.parameters()), "lr": config.head_lr},
        {"params": list(classifier.tail.parameters()), "lr": config.block_lr},
    ]
    # fused: one call for all weights; a small head's step would be mostly calls
    return torch.optim.Adam([group for group in groups if group["params"]], fused=True)


def _epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    activations: torch.Tensor,
    labels: torch.Tensor,
    batches: tuple[torch.Tensor, ...],
) -> tuple[float, float]:
    """Accuracy and mean loss of one pass over all batches."""
    device = next(network.parameters()).device
    correct, total_loss = 0, 0.0
    for rows in batches:
        batch, wanted = activations[rows].to(device), labels[rows].to(device)
        with autocast(device):
            logits = network(filled(batch))[: len(batch)].float()
        loss = functional.cross_entropy(logits, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        correct += int((logits.argmax(dim=1) == wanted).sum())
        total_loss += loss.item() * len(rows)
    return correct / len(labels), total_loss / len(labels)
