"""Image bytes to an RGB picture as an annotator's browser shows it.

Size and memory are checked in the header, before a pixel is decoded: a PNG of a few kilobytes can
claim gigabytes. All threads of the process share MEMORY. Only raster formats are tried; Pillow
would start Ghostscript on an EPS file otherwise.

Errors never quote a file: what a server sent instead of an image may be somebody's secret.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import IcoImagePlugin, Image, ImageOps, JpegImagePlugin

from backend.decoding import png_rows
from backend.decoding.byte_budget import ByteBudget
from backend.decoding.memory import codec_bytes, decoding_bytes, give_back_freed
from backend.decoding.to_rgb import as_rgb
from backend.errors import ImageError

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
MIB = 2**20
# Of all pictures that are decoded at the same time, and so of the largest one.
MEMORY = ByteBudget(1024 * MIB)
# Giving back takes some milliseconds, decoding so much more than a hundred.
MUCH_BYTES = 64 * MIB
MAX_PIXELS = 100_000_000
# A row costs Pillow 12 bytes however short it is, and a loop over the rows its time.
MAX_SIDE_PX = 100_000
# The format allows 256; Pillow decodes an icon's picture before it tells its true size.
MAX_ICON_SIDE_PX = 1024
# Read at a reduced size.
MAX_REDUCED_JPEG_PIXELS = 400_000_000
# The last two bytes of a JPEG 2000 codestream; its pixel data never holds them.
JPEG2000_END = b"\xff\xd9"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# How other files begin that servers send instead of an image.
OTHER_KINDS = {
    b"<svg": "SVG",
    b"<": "HTML or XML",
    b"{": "JSON",
    b"[": "JSON",
    b"%PDF": "PDF",
    b"%!PS": "PostScript",
}
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


@contextmanager
def decoded_image(data: bytes, at_least_px: int | None = None) -> Iterator[Image.Image]:
    """The picture as mode RGB: upright, first frame, transparency on white, 8 bits a channel.

    Its memory counts until the context ends, and a large one is closed then: leave it as soon as
    the picture was reduced. A thread must not open a second one meanwhile.

    - EXIF orientation is applied; an EXIF block that cannot be read counts as upright, as in
      browsers.
    - Transparent pixels (alpha channel, palette or color key) are composited on white, the
      background of Label Studio's image view.
    - Grey of more than 8 bits: see `as_rgb`.
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
        needed = _checked_bytes(image, at_least_px)
    except DAMAGE as error:
        raise _damaged(data, format_name) from error
    with MEMORY.taken(needed):
        try:
            image = _rgb_of(image, data, format_name)
            yield image
        finally:
            if needed >= MUCH_BYTES:
                image.close()
                give_back_freed()


def _rgb_of(image: Image.Image, data: bytes, format_name: str) -> Image.Image:
    """The pixels behind a header that was read, as an upright RGB picture."""
    try:
        image.load()
        _check_complete(image, data)
        _turn_upright(image)
        return as_rgb(image)
    except DAMAGE as error:
        # An error that is kept keeps alive what was decoded.
        image.close()
        raise _damaged(data, format_name) from error


def _damaged(data: bytes, format_name: str) -> ImageError:
    return ImageError(f"damaged or incomplete {format_name} image of {len(data):,} bytes")


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
    start = data[:64].lstrip()
    kinds = (kind for begin, kind in OTHER_KINDS.items() if start.startswith(begin))
    kind = next(kinds, "an unknown kind") if data else "an empty file"
    return f"not an image: {len(data):,} bytes, {kind}; can be read: {', '.join(FORMATS)}"


def _header_read(data: bytes, format_name: str) -> Image.Image:
    # Not Image.open: it warns and fails at limits of its own, without naming width and height.
    if format_name == "ICO":
        return _largest_of_icon(data)
    factory = Image.OPEN[format_name][0]
    return factory(io.BytesIO(data), "")


def _largest_of_icon(data: bytes) -> Image.Image:
    """The largest picture of an icon: a PNG, or a bitmap whose height counts a mask as well."""
    icon = IcoImagePlugin.IcoFile(io.BytesIO(data))
    at = icon.entry[0].offset
    if data.startswith(PNG_MAGIC, at):
        width, height = struct.unpack_from(">II", data, at + 16)
    else:
        width, height_with_mask = struct.unpack_from("<ii", data, at + 4)
        height = abs(height_with_mask) // 2
    if max(width, height) > MAX_ICON_SIDE_PX:
        raise ImageError(
            f"an icon of {width} x {height} pixels, the limit is {MAX_ICON_SIDE_PX} a side"
        )
    return icon.frame(0)


def _checked_bytes(image: Image.Image, at_least_px: int | None) -> int:
    """Bytes that it takes to decode the picture, a JPEG reduced; all limits are checked."""
    codec = codec_bytes(image)
    if at_least_px is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
        _check_size(image, MAX_REDUCED_JPEG_PIXELS)
        image.draft(None, (at_least_px, at_least_px))
    _check_size(image, MAX_PIXELS)
    needed = decoding_bytes(image, codec)
    if needed > MEMORY.total:
        raise ImageError(
            f"{image.width} x {image.height} pixels that take {needed // MIB} MiB to decode, "
            f"the limit is {MEMORY.total // MIB} MiB"
        )
    return needed


def _check_size(image: Image.Image, max_pixels: int) -> None:
    found = f"{image.width} x {image.height} pixels"
    if image.width < 1 or image.height < 1:
        raise ImageError(f"{found}, at least 1 x 1 is needed")
    if image.width * image.height > max_pixels:
        raise ImageError(f"{found}, the limit is {max_pixels // 10**6} megapixels")
    if max(image.size) > MAX_SIDE_PX:
        raise ImageError(f"{found}, the limit is {MAX_SIDE_PX:,} a side")


def _check_complete(image: Image.Image, data: bytes) -> None:
    """Raise an EOFError where Pillow filled up a file that ends too early and said nothing."""
    if image.format == "JPEG2000":
        is_complete = JPEG2000_END in data
    elif image.format == "PNG" and data.startswith(PNG_MAGIC):
        is_complete = _shows_its_end(image, data) or png_rows.has_all_rows(data)
    else:
        return
    if not is_complete:
        raise EOFError("fewer pixels than the header claims")


def _shows_its_end(image: Image.Image, data: bytes) -> bool:
    """Whether the last pixel of a PNG tells that it is complete: one that is missing is zero."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    values = pixel if isinstance(pixel, tuple) else (pixel,)
    return any(values) and not png_rows.is_interlaced(data)


def _turn_upright(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except DAMAGE:  # of the EXIF block only: the pixels have been read
        return
