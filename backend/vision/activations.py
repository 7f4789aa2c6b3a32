"""Trunk activations of images: read where they are kept, computed (and kept) where they are not.

What is kept depends on the mode. `head`: the activations are the embeddings, so they lie in the
embedding store. `blocks:n`: in a store of their own, up to a size limit, so that embedding after a
training and the training itself skip the trunk. `full`: pixels, never kept.

Legend: N images, B of a batch, A numbers in one image's activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
import torch

from backend.errors import WeightsError
from backend.vision.batch_sizes import filled
from backend.vision.device import autocast
from backend.vision.pixel_batches import Loader, batch_size_for, pixel_batches
from backend.vision.preprocessing import Preprocessing
from backend.vision.split import Split

PART_ROWS = 1024
PART_BYTES = 64 * 2**20


class RowStore(Protocol):
    """What is needed of `model_store.embeddings.EmbeddingStore`; see there."""

    def missing(self, version: str, keys: Sequence[str]) -> list[str]: ...

    def write_part(self, version: str, keys: Sequence[str], rows: np.ndarray) -> None: ...

    def read(self, version: str, keys: Sequence[str]) -> np.ndarray: ...

    def size_bytes(self, version: str) -> int: ...

    def drop_version(self, version: str) -> None: ...


@dataclass(frozen=True)
class Cache:
    """A store for rows of one version. limit_bytes: nothing is added beyond; None for no limit."""

    store: RowStore
    version: str
    limit_bytes: int | None = None

    def kept(self, image_keys: Sequence[str]) -> set[str]:
        """Those of `image_keys` that have a row."""
        return set(image_keys) - set(self.store.missing(self.version, image_keys))

    def has_room(self, more_bytes: int) -> bool:
        """Whether `more_bytes` may be added."""
        if self.limit_bytes is None:
            return True
        return self.store.size_bytes(self.version) + more_bytes <= self.limit_bytes


class PartWriter:
    """Collects rows and writes them to a cache in parts of a good size."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._image_keys: list[str] = []
        self._rows: list[np.ndarray] = []
        self._bytes = 0

    def add(self, image_keys: Sequence[str], rows: np.ndarray) -> None:
        """Take (B, ...) rows; a full part is written at once."""
        if not image_keys:
            return
        self._image_keys.extend(image_keys)
        self._rows.append(rows.reshape(len(image_keys), -1))
        self._bytes += rows.nbytes
        if len(self._image_keys) >= PART_ROWS or self._bytes >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is left, if the cache has room for it."""
        if self._image_keys and self._cache.has_room(self._bytes):
            rows = np.concatenate(self._rows)
            self._cache.store.write_part(self._cache.version, self._image_keys, rows)
        self._image_keys, self._rows, self._bytes = [], [], 0


@dataclass(frozen=True)
class ActivationBatch:
    """Activations (B, ...) of some images in their storage dtype on the CPU, and the unreadable."""

    image_keys: list[str]
    activations: torch.Tensor
    unreadable: dict[str, str]


class ActivationSource(Protocol):
    """The activations of images under one split."""

    def batches(self, image_keys: Sequence[str], load: Loader) -> Iterator[ActivationBatch]:
        """All images' activations, the unreadable ones named."""
        ...


class ComputedActivations:
    """Activations from the trunk."""

    def __init__(self, split: Split, preprocessing: Preprocessing, device: torch.device) -> None:
        self.split = split
        self.batch_size = batch_size_for(preprocessing.image_px)
        self._preprocessing = preprocessing
        self._device = device

    def batches(self, image_keys: Sequence[str], load: Loader) -> Iterator[ActivationBatch]:
        """All images' activations in order."""
        for batch in pixel_batches(image_keys, load, self._preprocessing, self.batch_size):
            activations = self.compute(batch.pixels)
            yield ActivationBatch(batch.image_keys, activations, batch.unreadable)

    @torch.inference_mode()
    def compute(self, pixels: torch.Tensor) -> torch.Tensor:
        """Activations (B, ...) of (B, 3, px, px) uint8 pixels, on the CPU in their storage dtype.

        Raises:
            WeightsError: the network's numbers do not fit that dtype.
        """
        if len(pixels) == 0:
            return torch.empty(0, *self.split.activation_shape, dtype=self.split.activation_dtype)
        with autocast(self._device):
            activations = self.split.trunk(filled(pixels.to(self._device)))[: len(pixels)]
        stored = activations.to("cpu", self.split.activation_dtype)
        if stored.is_floating_point() and not stored.isfinite().all():
            raise WeightsError(
                f"an activation of the network is {activations.abs().max().item():.3g}, which "
                f"{stored.dtype} cannot hold; needed is ALFAMIX_FINETUNE=head or full"
            )
        return stored


class CachedActivations:
    """Activations from a cache, those it lacks from the trunk, which are then kept."""

    def __init__(self, computed: ComputedActivations, cache: Cache) -> None:
        self._computed = computed
        self._cache = cache

    def batches(self, image_keys: Sequence[str], load: Loader) -> Iterator[ActivationBatch]:
        """All images' activations, first those kept, then the others; each set in order.

        What is computed is kept; the last part once the iteration is exhausted.
        """
        kept = self._cache.kept(image_keys)
        yield from self._read([key for key in image_keys if key in kept])
        writer = PartWriter(self._cache)
        for batch in self._computed.batches([key for key in image_keys if key not in kept], load):
            writer.add(batch.image_keys, batch.activations.numpy())
            yield batch
        writer.flush()

    def _read(self, image_keys: list[str]) -> Iterator[ActivationBatch]:
        """Read part by part, hand on in batches."""
        split, batch_size = self._computed.split, self._computed.batch_size
        row_bytes = prod(split.activation_shape) * split.activation_dtype.itemsize
        stretch = max(batch_size, min(PART_ROWS, PART_BYTES // row_bytes))
        for start in range(0, len(image_keys), stretch):
            keys = image_keys[start : start + stretch]
            rows = torch.from_numpy(self._cache.store.read(self._cache.version, keys))
            rows = rows.view(len(keys), *split.activation_shape)
            for first in range(0, len(keys), batch_size):
                chosen = slice(first, first + batch_size)
                yield ActivationBatch(keys[chosen], rows[chosen], {})
