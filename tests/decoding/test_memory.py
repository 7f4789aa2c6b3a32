"""What a picture takes while it is decoded, against hand calculation and the process's peak."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from backend.decoding.memory import codec_bytes, decoding_bytes

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
# Decodes the files named on the command line; prints of each what was foretold, and by how much the
# process grew at most.
MEASURE = """
import io, json, re, sys
from pathlib import Path
from PIL import Image
from backend.decoding import decoded_image
from backend.decoding.memory import codec_bytes, decoding_bytes

def now(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

for path in sys.argv[1:]:
    data = Path(path).read_bytes()
    with Image.open(io.BytesIO(data)) as header:
        foretold = decoding_bytes(header, codec_bytes(header))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = now("VmRSS")
    with decoded_image(data):
        pass
    print(json.dumps([foretold, now("VmHWM") - before, now("VmRSS") - before]))
"""


def opened(image: Image.Image, format_name: str, **options: object) -> Image.Image:
    """The picture saved, and as far read as its header."""
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return Image.open(file)


@pytest.mark.parametrize(("mode", "a_pixel"), [("L", 1), ("P", 1), ("I;16", 2), ("F", 4)])
def test_decoding_bytes_are_those_held_and_those_of_the_rgb_copy(mode: str, a_pixel: int) -> None:
    image = Image.new(mode, (30, 20))
    assert decoding_bytes(image, codec=0) == 600 * (a_pixel + 4)


def test_decoding_bytes_count_the_codec_when_it_needs_more_than_the_copy() -> None:
    image = opened(Image.new("RGB", (30, 20)), "WEBP")
    assert decoding_bytes(image, codec_bytes(image)) == 600 * (4 + 14)


@pytest.mark.parametrize(("mode", "a_pixel"), [("L", 6), ("RGB", 18), ("RGBA", 24)])
def test_codec_bytes_count_the_channels_when_the_file_is_a_jpeg_2000(
    mode: str, a_pixel: int
) -> None:
    assert codec_bytes(opened(Image.new(mode, (30, 20)), "JPEG2000")) == 600 * a_pixel


@pytest.mark.parametrize(
    ("options", "a_pixel"),
    [
        ({}, 0),
        ({"progressive": True, "subsampling": "4:4:4"}, 6),  # three components of 2 bytes
        ({"progressive": True, "subsampling": "4:2:0"}, 3),  # two of them at a quarter
    ],
)
def test_codec_bytes_are_the_coefficients_when_a_jpeg_is_progressive(
    options: dict[str, object], a_pixel: int
) -> None:
    assert codec_bytes(opened(Image.new("RGB", (64, 32)), "JPEG", **options)) == 2048 * a_pixel


def test_codec_bytes_are_a_strip_when_the_file_is_a_tiff() -> None:
    image = Image.new("RGB", (100, 80))
    one_strip = opened(image, "TIFF", compression="tiff_lzw", strip_size=2**20)
    assert codec_bytes(one_strip) == 100 * 80 * 3
    rows = opened(image, "TIFF", compression="tiff_lzw", strip_size=100 * 3 * 8)
    assert codec_bytes(rows) == 100 * 8 * 3


def test_codec_bytes_are_a_tile_when_a_tiff_claims_a_huge_one() -> None:
    short, long = 3, 4
    entries = [
        *((256, long, 16), (257, long, 16), (258, short, 8), (259, short, 5), (262, short, 1)),
        *((277, short, 1), (322, long, 8000), (323, long, 4000), (324, long, 8), (325, long, 1)),
    ]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    file = b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4)
    assert codec_bytes(Image.open(io.BytesIO(file))) == 8000 * 4000


def plain(mode: str) -> Image.Image:
    """12 megapixels of one color, which are quickly written."""
    color = (9, 8, 7, 128)[: len(mode)] if mode in ("RGB", "RGBA", "CMYK") else 1
    return Image.new(mode, (4000, 3000), color)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


LZW = {"compression": "tiff_lzw"}
LARGE = {
    "float TIFF": ("F", "TIFF", LZW),
    "float TIFF in one strip": ("F", "TIFF", LZW | {"strip_size": 2**30}),
    "16 bits": ("I;16", "PNG", {}),
    "transparent": ("RGBA", "PNG", {"compress_level": 1}),
    "palette": ("P", "PNG", {"transparency": 1}),
    "turned": ("RGB", "PNG", {"compress_level": 1, "exif": turned()}),
    "CMYK": ("CMYK", "TIFF", LZW),
    "progressive": ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
    "WEBP": ("RGBA", "WEBP", {"quality": 10, "method": 0}),
    "AVIF": ("RGB", "AVIF", {"speed": 10, "subsampling": "4:4:4"}),
    "JPEG 2000": ("RGB", "JPEG2000", {}),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """Bytes foretold, bytes taken at most, and bytes kept afterwards, of each kind."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not tell the peak of a process")
    folder = tmp_path_factory.mktemp("large")
    for kind, (mode, format_name, options) in LARGE.items():
        plain(mode).save(folder / kind, format_name, **options)
    command = [sys.executable, "-c", MEASURE, *(str(folder / kind) for kind in LARGE)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return dict(zip(LARGE, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("kind", LARGE)
def test_decoding_takes_no_more_than_was_foretold(
    kind: str, measured: dict[str, list[int]]
) -> None:
    foretold, most, _ = measured[kind]
    assert 0.3 * foretold < most < foretold + 16 * MIB


@pytest.mark.parametrize("kind", LARGE)
def test_decoding_keeps_nothing_when_it_is_done(kind: str, measured: dict[str, list[int]]) -> None:
    _, _, kept = measured[kind]
    assert kept < 16 * MIB
