"""Images read into memory: uint8, one size, the unreadable ones left out and named.

Legend: N images, C channels (3, or 1 for gray IDX files), H x W pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from backend.decoding import decoded_image
from backend.errors import ImageError
from backend.vision.preprocessing import Preprocessing

READERS = 8


@dataclass(frozen=True)
class ImageSource:
    """One image that can be read: `read` returns the file's bytes or raises ImageError."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class SkippedImage:
    """An image left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class ImageSet:
    """`pixels` (N, C, H, W) uint8 of the readable images, in the order of the sources."""

    pixels: torch.Tensor
    skipped: tuple[SkippedImage, ...] = ()


@dataclass(frozen=True)
class LabeledSample:
    """`pixels` (N, C, H, W) uint8 and `labels` (N,) int64, to watch k-NN accuracy by."""

    pixels: torch.Tensor
    labels: np.ndarray


def read_images(sources: Sequence[ImageSource], image_px: int) -> ImageSet:
    """The whole images resized to squares of `image_px`, as the backend's network sees them."""
    preprocessing = Preprocessing(image_px, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    pixels = torch.empty(len(sources), 3, image_px, image_px, dtype=torch.uint8)
    skipped = []
    count = 0
    with ThreadPoolExecutor(READERS) as pool:
        for found in pool.map(lambda source: _read(source, preprocessing), sources):
            if isinstance(found, SkippedImage):
                skipped.append(found)
            else:
                pixels[count] = found
                count += 1
    return ImageSet(pixels[:count], tuple(skipped))


def _read(source: ImageSource, preprocessing: Preprocessing) -> torch.Tensor | SkippedImage:
    try:
        with decoded_image(source.read(), at_least_px=preprocessing.image_px) as image:
            return preprocessing.pixels(image)
    except ImageError as error:
        return SkippedImage(source.name, str(error))


def channel_statistics(pixels: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of (N, C, H, W) uint8 pixels in 0..1, three channels each.

    From the histogram, which is exact and needs no float copy of the pixels.
    """
    histogram = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in pixels.unbind(1)])
    share = histogram.double() / histogram.sum(dim=1, keepdim=True)
    values = torch.arange(256).double() / 255
    mean = share @ values
    # one gray level more than nothing keeps images of one color from a division by zero
    std = ((share @ values**2) - mean**2).clamp(min=(1 / 255) ** 2).sqrt()
    repeat = 3 // pixels.shape[1]
    return tuple(mean.repeat(repeat).tolist()), tuple(std.repeat(repeat).tolist())
