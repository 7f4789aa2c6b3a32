"""A head, or a tail and a head, from labels: what a session's rounds and tunings come down to.

Legend: L labeled, D embedding, K classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from backend.vision.heads import HeadReport, fit_head
from backend.vision.linear_head import LinearHead
from backend.vision.training import (
    Classifier,
    Progress,
    TrainingConfig,
    TrainingOutcome,
    new_head,
    train,
)

ADAM = "adam"  # the head by the steps that fine-tuning takes


@dataclass(frozen=True)
class Fitted:
    """A head and how it came about. report: None where it was fitted by steps."""

    head: LinearHead
    outcome: TrainingOutcome
    report: HeadReport | None


@dataclass(frozen=True)
class Fitting:
    """How heads are fitted and tails tuned. Equal seeds give equal results on one thread.

    kind: of head: `auto`, a kind of `backend.vision.heads`, or `adam`.
    embedding_dim: D.
    """

    kind: str
    embedding_dim: int
    training: TrainingConfig
    device: torch.device

    def head(
        self,
        embeddings: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        seed: int,
        on_progress: Progress,
    ) -> Fitted:
        """A head on (L, D) float32 embeddings with (L,) int64 labels in [0, K)."""
        if self.kind != ADAM:
            return self._chosen(embeddings, labels, num_classes, seed)
        inputs = torch.from_numpy(embeddings), torch.from_numpy(labels)
        classifier, outcome = self._trained(nn.Identity(), *inputs, num_classes, seed, on_progress)
        return Fitted(LinearHead.of_layer(classifier.merged_head()), outcome, None)

    def tuned(
        self,
        tail: nn.Module,
        activations: torch.Tensor,
        labels: torch.Tensor,
        num_classes: int,
        seed: int,
        on_progress: Progress,
    ) -> tuple[nn.Module, Fitted]:
        """`tail` trained on (L, ...) activations, and a head for what it makes of them."""
        classifier, outcome = self._trained(
            tail, activations, labels, num_classes, seed, on_progress
        )
        tuned = classifier.tail.requires_grad_(False)
        if self.kind == ADAM:
            return tuned, Fitted(LinearHead.of_layer(classifier.merged_head()), outcome, None)
        embeddings = classifier.embeddings(activations, self.training.batch_size).cpu().numpy()
        fitted = self._chosen(embeddings, labels.numpy(), num_classes, seed)
        return tuned, Fitted(fitted.head, outcome, fitted.report)

    def _chosen(
        self, embeddings: np.ndarray, labels: np.ndarray, num_classes: int, seed: int
    ) -> Fitted:
        started = time.monotonic()
        generator = np.random.default_rng(seed)
        found = fit_head(embeddings, labels, num_classes, self.kind, generator)
        head = LinearHead(found.weight, found.bias)
        logits = torch.from_numpy(head.logits(embeddings))
        loss = float(nn.functional.cross_entropy(logits, torch.from_numpy(labels)))
        accuracy = float(np.mean(logits.numpy().argmax(axis=1) == labels))
        seconds = time.monotonic() - started
        return Fitted(head, TrainingOutcome(0, accuracy, loss, seconds), found.report)

    def _trained(
        self,
        tail: nn.Module,
        activations: torch.Tensor,
        labels: torch.Tensor,
        num_classes: int,
        seed: int,
        on_progress: Progress,
    ) -> tuple[Classifier, TrainingOutcome]:
        """`tail` and a new head trained on activations, and how it ended."""
        generator = torch.Generator().manual_seed(seed)
        head = new_head(self.embedding_dim, num_classes, generator)
        classifier = Classifier(tail, head).to(self.device)
        config = self.training
        return classifier, train(classifier, activations, labels, config, generator, on_progress)
