"""Every kind of image file, sound and damaged, against pixels known beforehand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from backend.errors import ImageError
from backend.vision.decoding import MAX_PIXELS, decode_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def corners() -> Image.Image:
    """3 x 2 pixels: red, green and blue above, white, black and grey below."""
    pixels = [[RED, GREEN, BLUE], [WHITE, (0, 0, 0), (128, 128, 128)]]
    return Image.fromarray(np.array(pixels, dtype=np.uint8))


def png_header(width: int, height: int) -> bytes:
    """The first chunk of a 1-bit PNG that claims a size, and a first byte of pixel data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )


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


# Not images


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty file"),
        (b"<html><body>Sign in", "starts with '<html><body>Sign in'"),
        (b"a plain text", "starts with 'a plain text'"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "starts with '%!PS-Adobe"),
        (b"\xff\xfe\x00\x01", r"starts with '\\\\xff\\\\xfe"),
        (b"<svg xmlns=", "starts with '<svg"),
    ],
)
def test_decode_image_says_how_it_starts_when_it_is_no_image(data: bytes, found: str) -> None:
    with pytest.raises(ImageError, match="not an image: .*" + found):
        decode_image(data)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_decode_image_names_the_format_when_the_file_is_cut_in_half(format_name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format_name)
    with pytest.raises(ImageError, match=f"damaged or incomplete {format_name} image"):
        decode_image(data[: len(data) // 2])


FUZZED = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO", "P", "LZW"]


def fuzz_seed_file(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind == "P":
        return encoded(image.convert("P"), "PNG", transparency=3, exif=exif)
    if kind == "LZW":
        return encoded(image, "TIFF", compression="tiff_lzw", exif=exif)
    options = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    return encoded(image, kind, **options)


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
