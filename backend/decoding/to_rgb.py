"""Pictures of every mode to RGB, as an annotator's browser shows them.

A large one is converted a band of rows at a time: whole, it would lie in memory several times over,
and in double precision where its pixels are floats.

Legend: H x W pixels of a band.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image

BAND_PIXELS = 2**18

_Convert = Callable[[Image.Image], Image.Image]


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture as mode RGB, 8 bits a channel, transparency on white.

    16-bit grey is scaled by 1/257, so that 65535 is white. 32-bit and float grey has no nominal
    white: its lowest value becomes black and its highest white (except 16-bit PGM, which Pillow
    holds in 32 bits).
    """
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    convert = _conversion(image)
    if image.width * image.height <= BAND_PIXELS:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for top, band in _bands(image):
        rgb.paste(convert(band), (0, top))
    return rgb


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The picture in bands of whole rows, each with the row it begins at."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _conversion(image: Image.Image) -> _Convert:
    """What converts a band of the picture."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_16_bit
    if image.mode in ("I", "F"):
        low, high = _finite_range(image)
        return partial(_stretched, low=low, high=high)
    return _on_white if image.has_transparency_data else _plain


def _plain(band: Image.Image) -> Image.Image:
    return band.convert("RGB")


def _on_white(band: Image.Image) -> Image.Image:
    rgba = band.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _from_16_bit(band: Image.Image) -> Image.Image:
    """(H, W) of 0..65535 to 0..255, rounded to the nearest."""
    return _grey((np.asarray(band).astype(np.uint32) + 128) // 257)


def _finite_range(image: Image.Image) -> tuple[float, float]:
    """The lowest and the highest finite value, 0 where there is none."""
    ends = []
    for _, band in _bands(image):
        values = np.asarray(band)
        finite = values[np.isfinite(values)]
        if finite.size:
            ends += [float(finite.min()), float(finite.max())]
    return min(ends, default=0.0), max(ends, default=0.0)


def _stretched(band: Image.Image, low: float, high: float) -> Image.Image:
    """(H, W) to 0..255 from `low` to `high`; NaN and -inf become black, inf white."""
    finite = np.nan_to_num(np.asarray(band), nan=low, neginf=low, posinf=high)
    return _grey(np.rint((finite.astype(np.float64) - low) * (255 / (high - low or 1.0))))


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
