"""Networks trained from labels alone, as the paper trains them: its MLP, ResNet-18, DenseNet-121.

Cross-entropy, Adam, batches of 64, until an epoch's training accuracy passes 99 %; the embedding
is what the last linear layer sees (Section 4.1 of the ALFA-Mix paper).

Legend: N pool examples, L labeled, T test examples, D embedding, K classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import Normalize

from backend.replay import Fit
from backend.vision import ADAM, LinearHead
from backend.vision.heads import fit_head

BATCH = 64
STOP_ACCURACY = 0.99
# Of pixels in 0..1: what torchvision's weights expect.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HIDDEN = 256  # the MLP's embedding


@dataclass(frozen=True)
class Recipe:
    """build: a network for K classes whose last layer is `head`, a Linear.

    lr: Adam's; the paper has 1e-3 for images and 1e-4 for other data.
    """

    build: Callable[[int], Classifier]
    lr: float
    epoch_limit: int


class Classifier(nn.Module):
    """(B, ...) inputs to (B, D) embeddings by `body`, to (B, K) logits by `head`."""

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


def mlp(columns: int, num_classes: int) -> Classifier:
    """The paper's perceptron: one hidden layer of 256 rectified units."""
    body = nn.Sequential(nn.Linear(columns, HIDDEN), nn.ReLU())
    return Classifier(body, nn.Linear(HIDDEN, num_classes))


def torchvision_network(name: str, num_classes: int, is_pretrained: bool) -> Classifier:
    """`resnet18` or `densenet121` of torchvision without its last layer, and a new one.

    OSError: pre-trained weights are asked for and cannot be downloaded.
    """
    from torchvision import models

    network = models.get_model(name, weights="DEFAULT" if is_pretrained else None)
    last = "fc" if hasattr(network, "fc") else "classifier"
    width = getattr(network, last).in_features
    setattr(network, last, nn.Identity())
    body = nn.Sequential(Normalize(IMAGENET_MEAN, IMAGENET_STD), network)
    return Classifier(body, nn.Linear(width, num_classes))


class NetworkLearner:
    """Trains a new network in every round, or goes on with the last round's.

    Args:
        pool_inputs, test_inputs: (N, ...) and (T, ...) float32.
        is_continued: whether a round starts from the network of the round before.
        head: how a head is fitted anew on the trained embeddings; `adam`: the network's own.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool_inputs: Tensor,
        test_inputs: Tensor,
        num_classes: int,
        is_continued: bool,
        head: str = ADAM,
    ) -> None:
        self._recipe = recipe
        self._pool = pool_inputs
        self._test = test_inputs
        self._num_classes = num_classes
        self._is_continued = is_continued
        self._head = head

    def untrained(self) -> np.ndarray:
        """The inputs themselves, (N, D): a network without training knows no more."""
        return self._pool.flatten(1).numpy()

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        """The network trained on the pool examples `rows`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # layers take their first weights from torch's own generator
            if self._is_continued and previous is not None:
                network = copy.deepcopy(previous.network)
            else:
                network = self._recipe.build(self._num_classes)
            train(network, self._pool[rows], torch.from_numpy(labels), self._recipe)
        embeddings = _embeddings(network, self._pool).numpy()
        head = LinearHead.of_layer(network.head)
        if self._head != ADAM:
            generator = np.random.default_rng(seed)
            found = fit_head(embeddings[rows], labels, self._num_classes, self._head, generator)
            head = LinearHead(found.weight, found.bias)
        predictions = head.logits(_embeddings(network, self._test).numpy()).argmax(axis=1)
        return Fit(embeddings, head, predictions, network)


def train(network: Classifier, inputs: Tensor, labels: Tensor, recipe: Recipe) -> None:
    """Fit `network` in place to (L, ...) inputs and (L,) labels; draws from torch's generator."""
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.lr, fused=True)
    network.train()
    # Batch normalization cannot learn from a batch of one.
    size = BATCH if len(labels) % BATCH != 1 else BATCH - 1
    for _epoch in range(recipe.epoch_limit):
        correct = 0
        for batch in torch.randperm(len(labels)).split(size):
            logits = network(inputs[batch])
            loss = functional.cross_entropy(logits, labels[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            correct += int((logits.argmax(1) == labels[batch]).sum())
        if correct > STOP_ACCURACY * len(labels):
            break
    network.eval()


@torch.no_grad()
def _embeddings(network: Classifier, inputs: Tensor) -> Tensor:
    return torch.cat([network.body(part) for part in inputs.split(512)])
