"""Features of real images to cluster: Fashion-MNIST through the ViT that ships.

Legend: N images, D embedding.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.acquisition import Standardization
from backend.pretraining.idx import read_idx_images
from backend.vision import BackboneSpec, VisionConfig, VisionSession
from benchmarks.pretraining import DATA

BATCH = 500


def is_available() -> bool:
    """Whether the images are on this machine (Debian's package dataset-fashion-mnist)."""
    return DATA.is_dir()


def image_features(count: int, folder: Path) -> np.ndarray:
    """`(count, D)` float32 standardized features, kept in `folder` for the next process.

    Raises:
        PretrainingError: the images cannot be read.
    """
    file = folder / f"image-features-{count}.npy"
    if not file.exists():
        features = _computed(count)
        np.save(file, Standardization.of(features).embeddings(features))
    return np.load(file)


def _computed(count: int) -> np.ndarray:
    images = read_idx_images(DATA / "train-images-idx3-ubyte.gz")[:count]
    session = VisionSession.open(VisionConfig(BackboneSpec("bundled"), "head", "cpu"))
    network = session.pretrained()
    batches = (batch.expand(-1, 3, -1, -1) for batch in images.split(BATCH))
    return np.concatenate([session.embed_pixels(network, batch) for batch in batches])
