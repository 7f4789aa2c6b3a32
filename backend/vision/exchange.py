"""What a round hands to the vision package, and what it gets back.

Legend: N images, L labeled, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from backend.vision.activations import RowStore
from backend.vision.heads import HeadReport
from backend.vision.linear_head import LinearHead
from backend.vision.split import Split


@dataclass(frozen=True)
class FeatureStores:
    """One project's stores. activations: of dtype float16; None keeps no activations."""

    embeddings: RowStore
    activations: RowStore | None


@dataclass(frozen=True)
class LabeledImages:
    """L image keys and their (L,) int64 class numbers."""

    image_keys: Sequence[str]
    labels: np.ndarray


@dataclass(frozen=True)
class Network:
    """A network that embeds, and classifies if it has a head. Never changed.

    version: names its features; networks of equal version give equal embeddings.
    head: None for the pre-trained network.
    """

    version: str
    head: LinearHead | None
    split: Split
    tail: torch.nn.Module


@dataclass(frozen=True)
class TrainedNetwork(Network):
    """A network with a head."""

    head: LinearHead


@dataclass(frozen=True)
class TrainingReport:
    """How training ended; see `TrainingOutcome`.

    epochs: 0 where a head alone was fitted, and not by steps.
    train_accuracy, loss: of the head on its own labels, where it was not fitted by steps.
    unreadable: reason by key of images left out.
    head: what the head was chosen by; None for one fitted by steps.
    """

    epochs: int
    train_accuracy: float
    loss: float
    seconds: float
    unreadable: dict[str, str]
    head: HeadReport | None


@dataclass(frozen=True)
class Trained:
    """A new network, and the tensors and card from which `restore` makes it again."""

    network: TrainedNetwork
    tensors: dict[str, torch.Tensor]
    card: dict[str, Any]
    report: TrainingReport

    @property
    def head(self) -> LinearHead:
        """The trained network's head."""
        return self.network.head


@dataclass(frozen=True)
class PoolReport:
    """computed: embeddings added to the store. unreadable: reason by image key."""

    computed: int
    unreadable: dict[str, str]


@dataclass(frozen=True)
class EmbeddedImages:
    """embeddings: (n, D) float32 of `image_keys`. unreadable: reason by key of the others."""

    image_keys: list[str]
    embeddings: np.ndarray
    unreadable: dict[str, str]
