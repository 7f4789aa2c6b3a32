"""Image bytes to an RGB picture as an annotator's browser shows it.

The size is checked in the header, before a pixel is decoded: a PNG of a few kilobytes can claim
gigabytes. Only raster formats are tried; Pillow would start Ghostscript on an EPS file otherwise.
"""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile, ImageOps, JpegImagePlugin

from backend.errors import ImageError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
# Pillow holds 4 bytes a pixel, and a conversion two copies: 0.8 GB for the largest image.
MAX_PIXELS = 100_000_000
# Read at a reduced size; a progressive JPEG still needs its coefficients, about 3 bytes a pixel.
MAX_REDUCED_JPEG_PIXELS = 400_000_000
SHOWN_BYTES = 24
# What Pillow's readers raise on damaged files (found by feeding them such files).
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


def decode_image(data: bytes, at_least_px: int | None = None) -> Image.Image:
    """The picture as mode RGB: upright, first frame, transparency on white, 8 bits a channel.

    - EXIF orientation is applied; an EXIF block that cannot be read counts as upright, as in
      browsers.
    - Transparent pixels (alpha channel, palette or color key) are composited on white, the
      background of Label Studio's image view.
    - 16-bit grey is scaled by 1/257, so that 65535 is white. 32-bit and float grey has no nominal
      white: its lowest value becomes black and its highest white (except 16-bit PGM, which Pillow
      holds in 32 bits).
    - Color profiles are not applied.

    Args:
        data: a whole file of one of FORMATS.
        at_least_px: a JPEG may be read at 1/2, 1/4 or 1/8 of its size as long as both sides keep
            this many pixels, which is several times faster for photographs. None: full size.

    Raises:
        ImageError: not an image, damaged, incomplete or too large, with what was found.
    """
    format_name = _format_of(data)
    try:
        image = _header_read(data, format_name)
        _limit_size(image, at_least_px)
        image.load()
        _turn_upright(image)
        return _as_rgb(image)
    except DAMAGE as error:
        raise ImageError(f"damaged or incomplete {format_name} image: {error}") from error


def _format_of(data: bytes) -> str:
    Image.init()
    for name in FORMATS:
        _, accept = Image.OPEN[name]
        # True, False, or a text that says what this Pillow was built without.
        accepted = accept is not None and accept(data[:16])
        if isinstance(accepted, str):
            raise ImageError(accepted)
        if accepted:
            return name
    raise ImageError(_not_an_image(data))


def _not_an_image(data: bytes) -> str:
    if not data:
        return "not an image: an empty file (0 bytes)"
    start = data[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return f"not an image: starts with {start!r}; can be read: {', '.join(FORMATS)}"


def _header_read(data: bytes, format_name: str) -> ImageFile.ImageFile:
    # Not Image.open: it warns and fails at limits of its own, without naming width and height.
    factory = Image.OPEN[format_name][0]
    return factory(io.BytesIO(data), "")


def _limit_size(image: ImageFile.ImageFile, at_least_px: int | None) -> None:
    if at_least_px is None or not isinstance(image, JpegImagePlugin.JpegImageFile):
        _check_size(image, MAX_PIXELS)
        return
    _check_size(image, MAX_REDUCED_JPEG_PIXELS)
    image.draft(None, (at_least_px, at_least_px))
    _check_size(image, MAX_PIXELS)


def _check_size(image: ImageFile.ImageFile, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{image.width} x {image.height} pixels, the limit is {max_pixels // 10**6} megapixels"
        )
    if image.width < 1 or image.height < 1:
        raise ImageError(f"{image.width} x {image.height} pixels, at least 1 x 1 is needed")


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except DAMAGE:  # of the EXIF block only: the pixels have been read
        return


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _grey(_from_16_bit(np.asarray(image)))
    if image.mode in ("I", "F"):
        return _grey(_stretched(np.asarray(image)))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _from_16_bit(values: np.ndarray) -> np.ndarray:
    """(H, W) of 0..65535 to 0..255, rounded to the nearest."""
    return (values.astype(np.uint32) + 128) // 257


def _stretched(values: np.ndarray) -> np.ndarray:
    """(H, W) to 0..255 from the lowest to the highest finite value; NaN and -inf become black."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    span = float(high) - float(low) or 1.0
    scaled = (values.astype(np.float64) - low) * (255 / span)
    return np.rint(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0))
