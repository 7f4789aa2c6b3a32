"""Every kind of image file, sound and damaged, against pixels known beforehand."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from backend.decoding import image as decoding
from backend.decoding import to_rgb
from backend.decoding.byte_budget import ByteBudget
from backend.decoding.image import MAX_PIXELS, MAX_SIDE_PX
from backend.errors import ImageError
from tests.vision.tiny import decode_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def corners() -> Image.Image:
    """3 x 2 pixels: red, green and blue above, white, black and grey below."""
    pixels = [[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (128, 128, 128)]]
    return Image.fromarray(np.array(pixels, dtype=np.uint8))


def png_of(width: int, height: int, stream: bytes, *, depth: int = 8, interlaced: int = 0) -> bytes:
    """A grey PNG that claims a size; `stream` is its pixel data with the filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlaced)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(stream)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def png_header(width: int, height: int) -> bytes:
    """A 1-bit PNG that claims a size, with one byte of pixel data."""
    return png_of(width, height, b"\0", depth=1)


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


# Sound files


@pytest.mark.parametrize("format_name", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_decode_image_keeps_the_pixels_when_the_format_is_lossless(format_name: str) -> None:
    options = {"lossless": True} if format_name == "WEBP" else {}
    image = decode_image(encoded(corners(), format_name, **options))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(corners()))


@pytest.mark.parametrize("format_name", ["JPEG", "AVIF", "ICO"])
def test_decode_image_is_near_the_pixels_when_the_format_is_lossy(format_name: str) -> None:
    image = decode_image(encoded(Image.new("RGB", (32, 32), (200, 30, 90)), format_name))
    assert (image.mode, image.size) == ("RGB", (32, 32))
    assert np.abs(np.array(image, dtype=int) - (200, 30, 90)).max() <= 4


ORIENTED = {  # where the file's rows and columns are seen, EXIF 2.3 section 4.6.4 A, by hand
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
    0: [[1, 2, 3], [4, 5, 6]],
    9: [[1, 2, 3], [4, 5, 6]],
}


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_decode_image_is_upright_when_exif_says_how(format_name: str, orientation: int) -> None:
    stored = Image.fromarray(np.array(ORIENTED[1], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_name == "WEBP" else {}
    image = decode_image(encoded(stored.convert("RGB"), format_name, exif=exif, **options))
    assert np.array_equal(np.asarray(image)[..., 0], ORIENTED[orientation])


@pytest.mark.parametrize("orientation", [1, 6])
def test_decode_image_turns_a_jpeg_when_exif_says_so(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif))
    assert image.size == ((40, 20) if orientation == 1 else (20, 40))


def test_decode_image_takes_it_for_upright_when_exif_is_damaged() -> None:
    damaged = b"Exif\0\0" + b"garbage, not a TIFF header"
    image = decode_image(encoded(Image.new("RGB", (40, 20), RED), "JPEG", exif=damaged))
    assert image.size == (40, 20)


def test_decode_image_is_upright_when_exif_cannot_be_written_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (40, 20)), "JPEG", exif=exif)

    def fail(exif: Image.Exif, offset: int = 8) -> bytes:
        raise ValueError("a tag of a kind that Pillow cannot write")

    monkeypatch.setattr(Image.Exif, "tobytes", fail)
    assert decode_image(data).size == (20, 40)


def test_decode_image_raises_when_there_is_no_memory_to_turn_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(image: Image.Image, in_place: bool) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    with pytest.raises(ImageError, match="damaged or incomplete PNG"):
        decode_image(encoded(corners()))


def test_decode_image_follows_the_palette_when_mode_is_p() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([*GREEN, *BLUE])
    palette.putdata([1, 0])
    image = decode_image(encoded(palette))
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [BLUE, GREEN]


@pytest.mark.parametrize("format_name", ["PNG", "GIF"])
def test_decode_image_shows_white_when_a_palette_entry_is_transparent(format_name: str) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([*GREEN, *BLUE])
    palette.putdata([0, 1])
    image = decode_image(encoded(palette, format_name, transparency=0))
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [WHITE, BLUE]


def test_decode_image_blends_with_white_when_palette_entries_are_half_transparent() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, *BLUE])
    palette.putdata([0, 1])
    image = decode_image(encoded(palette, transparency=bytes([127, 255])))
    # Black at alpha 127 over white: 255 * (1 - 127/255) = 128.
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [(128, 128, 128), BLUE]


def test_decode_image_blends_with_white_when_there_is_alpha() -> None:
    rgba = Image.new("RGBA", (3, 1))
    rgba.putdata([(0, 0, 0, 0), (255, 0, 0, 255), (0, 0, 0, 51)])
    image = decode_image(encoded(rgba))
    # Black at alpha 51 over white: 255 * (1 - 51/255) = 204.
    assert [image.getpixel((x, 0)) for x in range(3)] == [WHITE, RED, (204, 204, 204)]


def test_decode_image_blends_with_white_when_grey_has_alpha() -> None:
    grey = Image.new("LA", (2, 1))
    grey.putdata([(10, 0), (10, 255)])
    image = decode_image(encoded(grey))
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [WHITE, (10, 10, 10)]


def test_decode_image_shows_white_when_a_color_key_is_transparent() -> None:
    image = decode_image(encoded(corners(), transparency=GREEN))
    assert [image.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, BLUE]


@pytest.mark.parametrize(("mode", "value", "expected"), [("L", 77, 77), ("1", 1, 255)])
def test_decode_image_has_equal_channels_when_grey(mode: str, value: int, expected: int) -> None:
    image = decode_image(encoded(Image.new(mode, (2, 2), value)))
    assert (image.mode, image.getpixel((1, 1))) == ("RGB", (expected,) * 3)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "PPM"])
def test_decode_image_scales_when_grey_has_16_bits(format_name: str) -> None:
    values = np.array([[0, 257, 128 * 257, 65535, 300]], dtype=np.uint16)
    image = decode_image(encoded(Image.fromarray(values), format_name))
    assert np.asarray(image)[0].tolist() == [[v] * 3 for v in (0, 1, 128, 255, 1)]


def test_decode_image_scales_when_16_bit_grey_is_big_endian() -> None:
    image = Image.frombytes("I;16B", (2, 1), b"\xff\xff\x80\x80")
    decoded = decode_image(encoded(image, "TIFF"))
    assert np.asarray(decoded)[0, :, 0].tolist() == [255, 128]


def test_decode_image_stretches_when_grey_is_float() -> None:
    values = np.array([[-1.0, 0.0, 1.0, np.nan]], dtype=np.float32)
    image = decode_image(encoded(Image.fromarray(values), "TIFF"))
    # rint(127.5) is the even neighbor, 128.
    assert np.asarray(image)[0, :, 0].tolist() == [0, 128, 255, 0]


def test_decode_image_is_black_when_all_floats_are_equal() -> None:
    image = decode_image(encoded(Image.fromarray(np.full((2, 2), 7.5, np.float32)), "TIFF"))
    assert not np.asarray(image).any()


@pytest.mark.parametrize("format_name", ["JPEG", "TIFF"])
def test_decode_image_converts_when_cmyk(format_name: str) -> None:
    full_cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    pixel = decode_image(encoded(full_cyan, format_name)).getpixel((8, 8))
    assert np.abs(np.array(pixel) - (0, 255, 255)).max() <= 4


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_decode_image_takes_the_first_frame_when_animated(format_name: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format_name == "WEBP" else {}
    data = encoded(frames[0], format_name, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data).getpixel((4, 4)) == RED


# Sizes


def test_decode_image_names_size_and_limit_when_a_png_claims_2500_megapixels() -> None:
    with pytest.raises(ImageError, match="50000 x 50000 pixels, the limit is 100 megapixels"):
        decode_image(png_header(50_000, 50_000))


def test_decode_image_refuses_when_one_row_is_over_the_limit() -> None:
    with pytest.raises(ImageError, match="limit"):
        decode_image(png_header(10_000, MAX_PIXELS // 10_000 + 1))


def test_decode_image_accepts_the_size_when_exactly_at_the_limit() -> None:
    # Its pixel data is missing, so that it passes the size check and fails afterwards.
    with pytest.raises(ImageError, match="damaged or incomplete PNG"):
        decode_image(png_header(10_000, MAX_PIXELS // 10_000))


def test_decode_image_reads_a_huge_jpeg_when_a_smaller_size_is_enough() -> None:
    huge = encoded(Image.new("L", (12_000, 10_000), 200), "JPEG", quality=30)
    with pytest.raises(ImageError, match="12000 x 10000 pixels, the limit is 100 megapixels"):
        decode_image(huge)
    assert decode_image(huge, at_least_px=1000).size == (1500, 1250)


@pytest.mark.parametrize(
    ("at_least_px", "size"), [(100, (100, 200)), (101, (200, 400)), (500, (800, 1600))]
)
def test_decode_image_keeps_both_sides_when_a_jpeg_is_reduced(
    at_least_px: int, size: tuple[int, int]
) -> None:
    data = encoded(Image.new("RGB", (800, 1600), RED), "JPEG")
    assert decode_image(data, at_least_px=at_least_px).size == size


def test_decode_image_refuses_when_a_side_is_too_long() -> None:
    with pytest.raises(ImageError, match="1 x 100000000 pixels, the limit is 100,000 a side"):
        decode_image(png_of(1, MAX_PIXELS, bytes(2), depth=1))
    with pytest.raises(ImageError, match="damaged or incomplete"):
        decode_image(png_of(MAX_SIDE_PX, 1, b"\0", depth=1))


@pytest.mark.parametrize(
    ("kind", "true_size", "claim"),
    [  # a bitmap's height in an icon counts its mask
        ("png", struct.pack(">II", 256, 256), struct.pack(">II", 256, 1025)),
        ("bmp", struct.pack("<ii", 256, 512), struct.pack("<ii", 256, 2050)),
    ],
)
def test_decode_image_refuses_when_an_icon_is_larger_than_it_says(
    kind: str, true_size: bytes, claim: bytes
) -> None:
    image = Image.new("RGB", (256, 256), RED)
    icon = encoded(image, "ICO", sizes=[image.size], bitmap_format=kind)
    assert decode_image(icon).size == (256, 256)
    with pytest.raises(ImageError, match="an icon of 256 x 1025 pixels, the limit is 1024 a side"):
        decode_image(icon.replace(true_size, claim, 1))


def test_decode_image_refuses_when_it_would_take_more_memory_than_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = 64 * 64 * (4 + 4)  # what Pillow holds of RGB, and a copy
    data = encoded(Image.new("RGB", (64, 64), RED))
    monkeypatch.setattr(decoding, "MEMORY", ByteBudget(needed))
    assert decode_image(data).size == (64, 64)
    monkeypatch.setattr(decoding, "MEMORY", ByteBudget(needed - 1))
    with pytest.raises(ImageError, match="64 x 64 pixels that take 0 MiB to decode, the limit"):
        decode_image(data)


# Incomplete files


def rows_of(count: int, width: int, value: int) -> bytes:
    """So many rows of a grey PNG's pixel stream."""
    return (b"\0" + bytes([value]) * width) * count


@pytest.mark.parametrize("value", [0, 200])
def test_decode_image_reads_a_png_when_all_its_rows_are_there(value: int) -> None:
    image = decode_image(png_of(8, 6, rows_of(6, 8, value)))
    assert np.array_equal(np.asarray(image), np.full((6, 8, 3), value))


@pytest.mark.parametrize("rows", [1, 5])
def test_decode_image_refuses_when_a_png_ends_after_too_few_rows(rows: int) -> None:
    with pytest.raises(ImageError, match="incomplete PNG image of"):
        decode_image(png_of(8, 6, rows_of(rows, 8, 200)))


# Rows and pixels in a row of each pass over 9 x 5 pixels, by the drawing in the PNG specification.
PASSES = [(1, 2), (1, 1), (1, 3), (2, 2), (1, 5), (3, 4), (2, 9)]


@pytest.mark.parametrize("value", [0, 200])
def test_decode_image_reads_an_interlaced_png_when_all_passes_are_there(value: int) -> None:
    stream = b"".join(rows_of(*each, value) for each in PASSES)
    image = decode_image(png_of(9, 5, stream, interlaced=1))
    assert np.array_equal(np.asarray(image), np.full((5, 9, 3), value))


@pytest.mark.parametrize("passes", [1, 5, 6])
def test_decode_image_refuses_when_an_interlaced_png_lacks_a_pass(passes: int) -> None:
    stream = b"".join(rows_of(*each, 200) for each in PASSES[:passes])
    with pytest.raises(ImageError, match="incomplete PNG"):
        decode_image(png_of(9, 5, stream, interlaced=1))


def test_decode_image_counts_no_rows_when_the_last_pixel_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding.png_rows, "has_all_rows", lambda data: pytest.fail("counted"))
    assert decode_image(encoded(Image.new("RGB", (8, 8), RED))).size == (8, 8)


def test_decode_image_reads_a_png_when_its_pixels_come_in_many_pieces() -> None:
    # 4 MB of zeros are a run that zlib hands out in more pieces than it takes in.
    assert decode_image(png_of(2000, 2000, rows_of(2000, 2000, 0))).size == (2000, 2000)


def test_decode_image_refuses_when_a_jpeg_2000_ends_after_its_header() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG2000")
    start_of_data = data.index(b"\xff\x93")
    for cut in range(start_of_data - 16, start_of_data + 16):
        with pytest.raises(ImageError, match="incomplete JPEG2000"):
            decode_image(data[:cut])


# Large pictures


def many_modes() -> dict[str, Image.Image]:
    """A picture in every mode that is converted, 50 x 41 pixels."""
    rng = np.random.default_rng(3)
    rgba = Image.fromarray(rng.integers(0, 256, (41, 50, 4), dtype=np.uint8))
    floats = rng.normal(0, 1e6, (41, 50)).astype(np.float32)
    floats[0, :3] = np.nan, np.inf, -np.inf
    wide = rng.integers(0, 2**16, (41, 50), dtype=np.uint16)
    keyed = rgba.convert("RGB")
    keyed.info["transparency"] = keyed.getpixel((7, 7))
    palette = rgba.convert("RGB").quantize(32)
    see_through = palette.copy()
    see_through.info["transparency"] = 5
    plain = {mode: rgba.convert(mode) for mode in ("1", "L", "LA", "CMYK", "YCbCr")}
    grey = {"F": Image.fromarray(floats), "I;16": Image.fromarray(wide)}
    grey["I"] = Image.fromarray(wide.astype(np.int32) * 1000)
    return plain | grey | {"RGBA": rgba, "key": keyed, "P": palette, "P with key": see_through}


@pytest.mark.parametrize("mode", many_modes())
@pytest.mark.parametrize("band_pixels", [1, 50 * 7, 50 * 40])
def test_as_rgb_is_the_same_when_converted_in_bands(
    mode: str, band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = to_rgb.as_rgb(many_modes()[mode])
    monkeypatch.setattr(to_rgb, "BAND_PIXELS", band_pixels)
    in_bands = to_rgb.as_rgb(many_modes()[mode])
    assert (in_bands.mode, in_bands.size) == ("RGB", (50, 41))
    assert np.array_equal(np.asarray(in_bands), np.asarray(whole))


# Not images


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "0 bytes, an empty file"),
        (b"<html><body>Sign in", "19 bytes, HTML or XML"),
        (b' {"detail": "no"}', "17 bytes, JSON"),
        (b"a plain text", "12 bytes, an unknown kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "24 bytes, PostScript"),
        (b"\xff\xfe\x00\x01", "4 bytes, an unknown kind"),
        (b"<svg xmlns=", "11 bytes, SVG"),
    ],
)
def test_decode_image_says_of_what_kind_it_is_when_it_is_no_image(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match=f"not an image: {found}; can be read: JPEG, PNG"):
        decode_image(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "data",
    [
        b"secret",
        b'{"token": "secret"}',
        b"<html><title>secret</title></html>",
        b"P6secret 1 1",  # a token that PPM's reader quotes
        b"P6 secret 1 1",
        b"\x89PNG\r\n\x1a\n\0\0\0\x09secret",  # a chunk that PNG's reader quotes
        b"GIF89asecret",
        b"BMsecret",
        b"II*\0secret",
        b"RIFF\0\0\0\0WEBPVP8 secret",
        b"\0\0\1\0secret",
        b"\xff\xd8\xffsecret",
    ],
)
def test_decode_image_quotes_nothing_when_it_cannot_read(data: bytes) -> None:
    with pytest.raises(ImageError) as raised:
        decode_image(data)
    assert not any(part in str(raised.value) for part in ("secret", "secr", "cret"))


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_decode_image_names_the_format_when_the_file_is_cut_in_half(format_name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format_name)
    with pytest.raises(ImageError, match=f"damaged or incomplete {format_name} image"):
        decode_image(data[: len(data) // 2])


FUZZED: dict[str, Callable[[Image.Image, Image.Exif], bytes]] = {
    **{
        name: lambda image, exif, name=name: encoded(image, name, exif=exif)
        for name in ("PNG", "JPEG", "WEBP", "TIFF")
    },
    **{
        name: lambda image, _, name=name: encoded(image, name)
        for name in ("GIF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO")
    },
    "P": lambda image, exif: encoded(image.convert("P"), "PNG", transparency=3, exif=exif),
    "LZW": lambda image, exif: encoded(image, "TIFF", compression="tiff_lzw", exif=exif),
    "F": lambda image, _: encoded(image.convert("F"), "TIFF"),
    "F in LZW": lambda image, _: encoded(image.convert("F"), "TIFF", compression="tiff_lzw"),
    "progressive": lambda image, _: encoded(image, "JPEG", progressive=True),
    "lossless": lambda image, _: encoded(image, "WEBP", lossless=True),
    "bitmap icon": lambda image, _: encoded(image, "ICO", bitmap_format="bmp"),
    "narrow": lambda image, _: encoded(image.resize((1, 500)), "PNG"),
}


def fuzz_seed_file(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(1, 256, (20, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    return FUZZED[kind](Image.fromarray(noise), exif)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", FUZZED)
def test_decode_image_raises_nothing_but_image_error_when_bytes_are_garbled(kind: str) -> None:
    sound = fuzz_seed_file(kind)
    rng = np.random.default_rng(2)
    for _ in range(150):
        data = bytearray(sound)
        for position in rng.integers(0, min(len(data), 400), rng.integers(1, 12)):
            data[position] = rng.integers(0, 256)
        cut = len(data) if rng.random() < 0.5 else int(rng.integers(0, len(data)))
        try:
            image = decode_image(bytes(data[:cut]), at_least_px=8)
        except ImageError as error:
            assert str(error)
        else:
            assert image.mode == "RGB"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", FUZZED)
def test_decode_image_gives_the_whole_picture_or_none_when_a_file_is_cut(kind: str) -> None:
    sound = fuzz_seed_file(kind)
    whole = np.asarray(decode_image(sound))
    for cut in range(0, len(sound), max(1, len(sound) // 200)):
        try:
            image = decode_image(sound[:cut])
        except ImageError as error:
            assert str(error)
        else:
            assert np.array_equal(np.asarray(image), whole), cut
