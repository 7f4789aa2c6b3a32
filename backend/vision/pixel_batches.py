"""Images to batches of pixels, made ahead of the network.

A few threads load the files, side by side because most come over HTTP, and decode the large ones:
Pillow lets go of the interpreter lock meanwhile. Small files are decoded by one thread for all. In
them Pillow's calls are so short that several threads would spend more time on handing the lock over
than on decoding, and would keep the network from it as well.

Memory holds a few batches, whatever the number of images; what is being decoded shares the budget
of `decoding`.

Legend: B readable images of a batch, px side of the network's images.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from PIL import Image

from backend.decoding import decoded_image
from backend.errors import AlfaMixError, ImageError
from backend.vision.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

Found = TypeVar("Found")
Loader = Callable[[str], bytes]
"""Encoded bytes of an image by its key; raises ImageError when they cannot be had."""

MIN_BATCH_SIZE = 32
MAX_BATCH_SIZE = 128
# A batch has about so many pixels: 32 images from 64 px on, 128 up to 32 px.
BATCH_PIXELS = 2**17
BATCHES_AHEAD = 3
READING_THREADS = 4
# Calls of the thread pool a batch: one an image costs as much as a small image itself.
READS_PER_BATCH = 16
# Up to about here a second decoding thread takes more time than it saves.
SMALL_FILE_BYTES = 4096


@dataclass(frozen=True)
class PixelBatch:
    """Some images ready for the network, and those of the same keys that cannot be read.

    image_keys: of the B readable images.
    pixels: (B, 3, px, px) uint8; B may be 0.
    unreadable: reason by image key.
    """

    image_keys: list[str]
    pixels: torch.Tensor
    unreadable: dict[str, str]


def batch_size_for(image_px: int) -> int:
    """Images the network takes at once: more of small ones, where calls outweigh arithmetic."""
    return min(MAX_BATCH_SIZE, max(MIN_BATCH_SIZE, BATCH_PIXELS // image_px**2))


def pixel_batches(
    image_keys: Sequence[str],
    load: Loader,
    preprocessing: Preprocessing,
    batch_size: int | None = None,
) -> Iterator[PixelBatch]:
    """All images in order, `batch_size` keys at a time; None stands for `batch_size_for`.

    Whatever goes wrong with one image puts its key among the batch's unreadable ones, also what
    nobody foresaw. Other errors of ours end the iteration: they are not the image's, as where Label
    Studio does not answer.
    """
    size = batch_size or batch_size_for(preprocessing.image_px)
    reader = _Reader(load, preprocessing)
    waiting: deque[Future[PixelBatch]] = deque()
    with (
        ThreadPoolExecutor(1, "assemble") as assembling,
        ThreadPoolExecutor(READING_THREADS, "read") as reading,
    ):
        try:
            for keys in _cut(image_keys, size):
                part = max(1, min(size // READS_PER_BATCH, len(keys) // READING_THREADS))
                reads = [reading.submit(reader.read, some) for some in _cut(keys, part)]
                waiting.append(assembling.submit(reader.assemble, keys, reads))
                if len(waiting) > BATCHES_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            reading.shutdown(cancel_futures=True)
            assembling.shutdown(cancel_futures=True)


def _cut(image_keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`size` keys at a time, the last time what is left."""
    for start in range(0, len(image_keys), size):
        yield image_keys[start : start + size]


# What reading one image gives: a small file as it is, a large one decoded, or why there is none.
_Read = bytes | Image.Image | ImageError


@dataclass(frozen=True)
class _Reader:
    """The two steps from image keys to a batch, each run by threads of its own."""

    load: Loader
    preprocessing: Preprocessing

    def read(self, image_keys: Sequence[str]) -> list[_Read]:
        """What each of the images gives; several threads do this at once."""
        return [_of_one(partial(self._loaded, image_key)) for image_key in image_keys]

    def assemble(
        self, image_keys: Sequence[str], reads: Sequence[Future[list[_Read]]]
    ) -> PixelBatch:
        """The batch that the reads of its keys give; one thread does this."""
        readable, squares, unreadable = [], [], {}
        found = (one for read in reads for one in read.result())
        for image_key, one in zip(image_keys, found, strict=True):
            square = _of_one(partial(self._square, one)) if isinstance(one, bytes) else one
            if isinstance(square, ImageError):
                unreadable[image_key] = str(square)
            else:
                readable.append(image_key)
                squares.append(square)
        return PixelBatch(readable, self.preprocessing.stacked(squares), unreadable)

    def _loaded(self, image_key: str) -> bytes | Image.Image:
        data = self.load(image_key)
        return data if len(data) <= SMALL_FILE_BYTES else self._square(data)

    def _square(self, data: bytes) -> Image.Image:
        with decoded_image(data, at_least_px=2 * self.preprocessing.image_px) as image:
            return self.preprocessing.square(image)


def _of_one(step: Callable[[], Found]) -> Found | ImageError:
    """What a step gives of one image, or why it gives nothing.

    AlfaMixError: of a kind that is not the image's own.
    """
    try:
        return step()
    except ImageError as error:
        return error
    except AlfaMixError:
        raise
    except Exception as error:
        # Its text may quote anything, so it stays out of what everybody is shown.
        logger.debug("an image could not be read", exc_info=True)
        return ImageError(f"unexpected {type(error).__name__}")
