"""What a training learns from: the activations of the labeled images, and their classes.

Legend: L labeled images.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from backend.errors import ImageError
from backend.vision.activations import ActivationSource
from backend.vision.exchange import LabeledImages
from backend.vision.pixel_batches import Loader
from backend.vision.split import Split

IN_MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True)
class TrainingSet:
    """The readable images in their order.

    activations: (L, ...) in the split's storage dtype.
    labels: (L,) int64 class numbers.
    unreadable: reason by key of the images left out.
    """

    activations: torch.Tensor
    labels: torch.Tensor
    unreadable: dict[str, str]


def training_set(
    labeled: LabeledImages, split: Split, source: ActivationSource, load: Loader
) -> TrainingSet:
    """The activations of `labeled` and their labels.

    One image may be labeled twice (two tasks with the same picture).

    Raises:
        ImageError: not one of the images can be read.
    """
    rows_of: dict[str, list[int]] = {}
    for row, key in enumerate(labeled.image_keys):
        rows_of.setdefault(key, []).append(row)
    count = len(labeled.image_keys)
    activations = new_rows((count, *split.activation_shape), split.activation_dtype)
    is_readable = torch.zeros(count, dtype=torch.bool)
    unreadable: dict[str, str] = {}
    for batch in source.batches(list(rows_of), load):
        for key, activation in zip(batch.image_keys, batch.activations, strict=True):
            activations[rows_of[key]] = activation
            is_readable[rows_of[key]] = True
        unreadable |= batch.unreadable
    if not is_readable.any():
        reason = next(iter(unreadable.values()), "there are no labels")
        raise ImageError(f"none of {count} labeled images can be read: {reason}")
    labels = torch.from_numpy(np.asarray(labeled.labels, np.int64))
    if is_readable.all():
        return TrainingSet(activations, labels, unreadable)
    return TrainingSet(activations[is_readable], labels[is_readable], unreadable)


def new_rows(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """An empty tensor for all labeled images; a big one lies in a nameless temporary file.

    The kernel then keeps in memory what fits and reads the rest from the disk.
    """
    size = prod(shape) * dtype.itemsize
    if size <= IN_MEMORY_BYTES:
        return torch.empty(shape, dtype=dtype)
    with tempfile.TemporaryFile() as file:
        flat = np.memmap(file, np.uint8, "w+", shape=(size,))
    return torch.from_numpy(flat).view(dtype).view(shape)
