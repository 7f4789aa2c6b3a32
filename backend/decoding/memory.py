"""How much memory a picture takes while it is decoded, told from its header.

It is the sum of what Pillow holds and, at the most, either what the codec needs beside it or the
copy that is made where the picture is turned upright or converted to RGB. The codecs' figures are
measured (the peak of a process that decodes 25 megapixels) and rounded up.
"""

from __future__ import annotations

import ctypes
from functools import cache
from math import ceil

from PIL import Image, Jpeg2KImagePlugin, JpegImagePlugin, TiffImagePlugin

# Bytes a pixel that Pillow holds; of all other modes, and of the RGB made of them, 4.
HELD_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
OTHERS_HELD_BYTES = 4
# Bytes a pixel that a codec needs beside that; the others work row by row.
CODEC_BYTES = {"WEBP": 14, "AVIF": 12}
JPEG2000_CHANNEL_BYTES = 6
# Coefficients of a progressive JPEG are 16-bit numbers.
COEFFICIENT_BYTES = 2
WIDTH_TAG, HEIGHT_TAG = TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def give_back_freed() -> None:
    """Give the system back what was freed.

    glibc keeps what a thread freed for the same thread: each one that decodes would hold the
    largest picture it ever had. Other C libraries give it back by themselves.
    """
    if hasattr(_libc(), "malloc_trim"):
        _libc().malloc_trim(0)


def codec_bytes(image: Image.Image) -> int:
    """Bytes that the codec needs beside the picture; of a JPEG, asked before it is reduced."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return _coefficient_bytes(image)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _piece_bytes(image)
    if isinstance(image, Jpeg2KImagePlugin.Jpeg2KImageFile):
        a_pixel = JPEG2000_CHANNEL_BYTES * len(image.getbands())
    else:
        a_pixel = CODEC_BYTES.get(image.format or "", 0)
    return a_pixel * image.width * image.height


def decoding_bytes(image: Image.Image, codec: int) -> int:
    """Bytes that it takes to decode the picture to RGB; codec: what `codec_bytes` told."""
    pixels = image.width * image.height
    held = HELD_BYTES.get(image.mode, OTHERS_HELD_BYTES) * pixels
    return held + max(codec, OTHERS_HELD_BYTES * pixels)


def _coefficient_bytes(image: JpegImagePlugin.JpegImageFile) -> int:
    """A progressive JPEG comes scan by scan, so its coefficients are kept at full size."""
    if not image.info.get("progressive"):
        return 0
    sampling = [(across, down) for _, across, down, _ in image.layer]
    most = max(across for across, _ in sampling) * max(down for _, down in sampling)
    share = sum(across * down for across, down in sampling) / most
    return ceil(COEFFICIENT_BYTES * share * image.width * image.height)


def _piece_bytes(image: TiffImagePlugin.TiffImageFile) -> int:
    """A TIFF is decompressed a tile or strip at a time, each as large as the file says."""
    tags = image.tag_v2
    strip_rows = min(tags.get(TiffImagePlugin.ROWSPERSTRIP, image.height), image.height)
    width, height = tags.get(WIDTH_TAG, image.width), tags.get(HEIGHT_TAG, strip_rows)
    depths = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    bits = max(sum(depths), depths[0] * tags.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
    return ceil(width * height * bits / 8)
