"""How good the shipped checkpoint's features are: Fashion-MNIST by k-NN and by few labels.

`python -m benchmarks pretraining` prints one row per representation: the bundled ViT, the same
network untrained, the raw pixels, and a PCA of them. The labels come from the training images'
last rows and are seen by nothing but the two classifiers; the ViT has seen the training images
without labels, PCA is fitted on the same.

Legend: N images, D features.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from backend.errors import AlfaMixError, WeightsError
from backend.pretraining.evaluate import features, knn_accuracy
from backend.pretraining.idx import read_idx_images, read_idx_labels
from backend.vision.network import BUNDLED_WEIGHTS
from backend.vision.trainable import (
    Architecture,
    StartingPoint,
    build_vit,
    card_architecture,
    load_start,
)
from benchmarks.timing import Row

DATA = Path("/usr/share/datasets/fashion-mnist")
REFERENCES = 5000
FEW_LABELS = 100
DRAWS = 10
PCA_IMAGES = 20_000


@dataclass(frozen=True)
class Data:
    """Images as (N, 1, 28, 28) uint8 with labels: references to learn from, queries to name."""

    references: torch.Tensor
    reference_labels: np.ndarray
    queries: torch.Tensor
    query_labels: np.ndarray
    unlabeled: torch.Tensor


@dataclass(frozen=True)
class Shipped:
    """The network of a weights file: what builds it, its weights, the side of its images."""

    architecture: Architecture
    start: StartingPoint
    image_px: int


@dataclass(frozen=True)
class Representation:
    """(N, D) features of the references and of the queries."""

    name: str
    references: np.ndarray
    queries: np.ndarray


def main(argv: list[str]) -> int:
    """Print the table, and write it as JSON where asked to; 0 done, 1 it failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks pretraining", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the IDX files")
    parser.add_argument("--weights", type=Path, default=BUNDLED_WEIGHTS)
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--seed", type=int, default=0, help="of the draws of labels")
    arguments = parser.parse_args(argv)
    try:
        rows = measure(read_data(arguments.data), arguments.weights, arguments.seed)
    except AlfaMixError as error:
        print(f"python -m benchmarks pretraining: {error}", file=sys.stderr)
        return 1
    for row in rows:
        print(f"{row.value:6.2f} {row.unit}  {row.what}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def read_data(folder: Path) -> Data:
    """Fashion-MNIST (or MNIST) as Debian ships it.

    Raises:
        PretrainingError: a file is missing or damaged.
    """
    images = read_idx_images(folder / "train-images-idx3-ubyte.gz")
    labels = read_idx_labels(folder / "train-labels-idx1-ubyte.gz")
    return Data(
        references=images[-REFERENCES:],
        reference_labels=labels[-REFERENCES:],
        queries=read_idx_images(folder / "t10k-images-idx3-ubyte.gz"),
        query_labels=read_idx_labels(folder / "t10k-labels-idx1-ubyte.gz"),
        unlabeled=images,
    )


def read_shipped(weights: Path) -> Shipped:
    """The network that a weights file and its card hold.

    Raises:
        WeightsError: the file is missing, damaged or carries no card.
    """
    architecture = card_architecture(weights)
    if architecture is None:
        raise WeightsError(f"{weights} carries no card; needed is a file of backend pretrain")
    image_px = architecture.arguments["img_size"]
    return Shipped(architecture, load_start(architecture.model, weights, image_px), image_px)


def measure(data: Data, weights: Path, seed: int) -> list[Row]:
    """20-NN accuracy with 5,000 references and linear accuracy with 100 labels, for each."""
    rows = []
    for representation in representations(data, weights):
        knn = knn_accuracy(
            representation.references,
            data.reference_labels,
            representation.queries,
            data.query_labels,
        )
        mean, deviation = few_label_accuracy(representation, data, np.random.default_rng(seed))
        name = representation.name
        rows += [
            Row(f"20-NN accuracy, {len(data.references)} references, {name}", 100 * knn, "%"),
            Row(f"linear accuracy, {FEW_LABELS} labels, {name}", 100 * mean, "%"),
            Row(f"standard deviation of it over {DRAWS} draws, {name}", 100 * deviation, "%"),
        ]
    return rows


def few_label_accuracy(
    representation: Representation, data: Data, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean and standard deviation over draws of 100 labels, the same draws for the same seed."""
    accuracies = []
    for _ in range(DRAWS):
        rows = rng.choice(len(data.references), FEW_LABELS, replace=False)
        accuracies.append(
            linear_accuracy(
                representation.references[rows],
                data.reference_labels[rows],
                representation.queries,
                data.query_labels,
            )
        )
    return float(np.mean(accuracies)), float(np.std(accuracies, ddof=1))


def linear_accuracy(
    rows: np.ndarray, row_labels: np.ndarray, queries: np.ndarray, labels: np.ndarray
) -> float:
    """Share of `queries` that a logistic regression on `rows` names right.

    Both are centered and divided by one number, the rows' overall standard deviation: a scale per
    feature would blow up the last components of a PCA.
    """
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scale = np.sqrt(np.mean(deviation**2)) or 1.0
    classifier = LogisticRegression(max_iter=2000).fit((rows - mean) / scale, row_labels)
    return float(classifier.score((queries - mean) / scale, labels))


def representations(data: Data, weights: Path) -> list[Representation]:
    """What is compared."""
    shipped = read_shipped(weights)
    bundled = of_network("bundled ViT", trained(shipped), shipped, data)
    pixels = Representation("raw pixels", flat(data.references), flat(data.queries))
    return [
        bundled,
        of_network("the same network untrained", untrained(shipped), shipped, data),
        pixels,
        pca_of(pixels, data, bundled.references.shape[1]),
    ]


def flat(pixels: torch.Tensor) -> np.ndarray:
    """(N, H * W) float32 gray levels in 0..1."""
    return pixels.flatten(1).numpy().astype(np.float32) / 255


def pca_of(pixels: Representation, data: Data, components: int) -> Representation:
    """The first components of the unlabeled images' pixels, as many as the ViT has features."""
    pca = PCA(components, random_state=0).fit(flat(data.unlabeled[:PCA_IMAGES]))
    return Representation(
        f"PCA of raw pixels, {components} components",
        pca.transform(pixels.references),
        pca.transform(pixels.queries),
    )


def of_network(name: str, vit: torch.nn.Module, shipped: Shipped, data: Data) -> Representation:
    """The CLS token after the last block, as in the paper."""
    start = shipped.start

    def rows(pixels: torch.Tensor) -> np.ndarray:
        return features(vit, pixels, start.mean, start.std, shipped.image_px)

    return Representation(name, rows(data.references), rows(data.queries))


def untrained(shipped: Shipped) -> torch.nn.Module:
    """The network with timm's random weights, seed 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_vit(shipped.architecture).eval()


def trained(shipped: Shipped) -> torch.nn.Module:
    """The network with the weights of the file."""
    vit = build_vit(shipped.architecture)
    vit.load_state_dict(shipped.start.state)
    return vit.eval()
