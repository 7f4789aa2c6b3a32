"""Trunk activations of images: read where they are kept, computed (and kept) where they are not.

What is kept depends on the mode. `head`: the activations are the embeddings, so they lie in the
embedding store. `blocks:n`: in a store of their own, up to a size limit, so that embedding after a
training and the training itself skip the trunk. `full`: pixels, never kept.

Legend: N images, B of a batch, A numbers in one image's activations.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
import torch

from backend.errors import WeightsError
from backend.vision.device import autocast
from backend.vision.pixel_batches import BATCH_SIZE, Loader, pixel_batches
from backend.vision.preprocessing import Preprocessing
from backend.vision.split import Split

PART_ROWS = 1024
PART_BYTES = 64 * 2**20
IN_MEMORY_BYTES = 2 * 2**30


class RowStore(Protocol):
    """What is needed of `model_store.embeddings.EmbeddingStore`; see there."""

    def missing(self, version: str, keys: Sequence[str]) -> list[str]: ...

    def write_part(self, version: str, keys: Sequence[str], rows: np.ndarray) -> None: ...

    def read(self, version: str, keys: Sequence[str]) -> np.ndarray: ...

    def size_bytes(self, version: str) -> int: ...


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

    def __init__(self, cache: Cache | None) -> None:
        self._cache = cache
        self._image_keys: list[str] = []
        self._rows: list[np.ndarray] = []
        self._bytes = 0

    def add(self, image_keys: Sequence[str], rows: np.ndarray) -> None:
        """Take (B, ...) rows; a full part is written at once."""
        if self._cache is None or not image_keys:
            return
        self._image_keys.extend(image_keys)
        self._rows.append(rows.reshape(len(image_keys), -1))
        self._bytes += rows.nbytes
        if len(self._image_keys) >= PART_ROWS or self._bytes >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is left, if the cache has room for it."""
        if self._cache is not None and self._image_keys and self._cache.has_room(self._bytes):
            rows = np.concatenate(self._rows)
            self._cache.store.write_part(self._cache.version, self._image_keys, rows)
        self._image_keys, self._rows, self._bytes = [], [], 0


@dataclass(frozen=True)
class ActivationBatch:
    """Activations (B, ...) of some images in their storage dtype on the CPU, and the unreadable."""

    image_keys: list[str]
    activations: torch.Tensor
    unreadable: dict[str, str]


class ActivationSource:
    """The activations of one split, from a cache or the trunk."""

    def __init__(
        self,
        split: Split,
        preprocessing: Preprocessing,
        device: torch.device,
        cache: Cache | None,
    ) -> None:
        self._split = split
        self._preprocessing = preprocessing
        self._device = device
        self._cache = cache

    def batches(self, image_keys: Sequence[str], load: Loader) -> Iterator[ActivationBatch]:
        """All images' activations, first those kept, then the others; each set in order.

        What is computed is kept; the last part once the iteration is exhausted.
        """
        kept = set() if self._cache is None else self._cache.kept(image_keys)
        yield from self._from_cache([key for key in image_keys if key in kept])
        yield from self._from_trunk([key for key in image_keys if key not in kept], load)

    def _from_cache(self, image_keys: list[str]) -> Iterator[ActivationBatch]:
        """Read part by part, hand on in batches."""
        row_bytes = prod(self._split.activation_shape) * self._split.activation_dtype.itemsize
        stretch = max(BATCH_SIZE, min(PART_ROWS, PART_BYTES // row_bytes))
        for start in range(0, len(image_keys), stretch):
            keys = image_keys[start : start + stretch]
            rows = torch.from_numpy(self._cache.store.read(self._cache.version, keys))
            rows = rows.view(len(keys), *self._split.activation_shape)
            for first in range(0, len(keys), BATCH_SIZE):
                chosen = slice(first, first + BATCH_SIZE)
                yield ActivationBatch(keys[chosen], rows[chosen], {})

    def _from_trunk(self, image_keys: list[str], load: Loader) -> Iterator[ActivationBatch]:
        writer = PartWriter(self._cache)
        for batch in pixel_batches(image_keys, load, self._preprocessing):
            activations = self.compute(batch.pixels)
            writer.add(batch.image_keys, activations.numpy())
            yield ActivationBatch(batch.image_keys, activations, batch.unreadable)
        writer.flush()

    @torch.inference_mode()
    def compute(self, pixels: torch.Tensor) -> torch.Tensor:
        """Activations (B, ...) of (B, 3, px, px) uint8 pixels, on the CPU in their storage dtype.

        Raises:
            WeightsError: the network's numbers do not fit that dtype.
        """
        if len(pixels) == 0:
            return torch.empty(0, *self._split.activation_shape, dtype=self._split.activation_dtype)
        with autocast(self._device):
            activations = self._split.trunk(pixels.to(self._device))
        stored = activations.to("cpu", self._split.activation_dtype)
        if stored.is_floating_point() and not stored.isfinite().all():
            raise WeightsError(
                f"an activation of the network is {activations.abs().max().item():.3g}, which "
                f"{stored.dtype} cannot hold; needed is ALFAMIX_FINETUNE=head or full"
            )
        return stored


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
