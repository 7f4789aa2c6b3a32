"""Whether a PNG holds all the rows that its header claims.

Where its pixel stream ends properly, but after too few rows, Pillow fills the rest with zeros and
says nothing: some bytes can claim a hundred million pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

HEADER = struct.Struct(">IIBBBBB")
HEADER_AT = 16
FIRST_CHUNK_AT = 8
CHUNK_HEAD = struct.Struct(">I4s")
CHECKSUM_BYTES = 4
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of Adam7: first column, first row, and the steps to the next ones (PNG specification, 8.2).
PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
PIECE_BYTES = 2**20


def is_interlaced(data: bytes) -> bool:
    """Whether a PNG's rows come in the seven passes of Adam7."""
    return HEADER.unpack_from(data, HEADER_AT)[6] == 1


def has_all_rows(data: bytes) -> bool:
    """Whether the pixel stream of a PNG that could be decoded is as long as its header claims."""
    needed = _claimed_bytes(data)
    return any(found >= needed for found in _stream_bytes(data))


def _claimed_bytes(data: bytes) -> int:
    """Length of the decompressed pixel stream: each row is a byte for its filter, and pixels."""
    width, height, depth, color, *_, interlace = HEADER.unpack_from(data, HEADER_AT)
    bits = depth * CHANNELS[color]
    passes = PASSES if interlace else ((0, 0, 1, 1),)
    return sum(
        _steps(height, top, down) * (1 + (_steps(width, left, across) * bits + 7) // 8)
        for left, top, across, down in passes
        if width > left
    )


def _steps(length: int, first: int, step: int) -> int:
    return max(0, -(-(length - first) // step))


def _stream_bytes(data: bytes) -> Iterator[int]:
    """How much of the pixel stream was decompressed, a piece after the other, none kept."""
    stream, found = zlib.decompressobj(), 0
    for packed in _pixel_chunks(data):
        piece = stream.decompress(packed, PIECE_BYTES)
        while piece:
            found += len(piece)
            yield found
            piece = stream.decompress(stream.unconsumed_tail, PIECE_BYTES)


def _pixel_chunks(data: bytes) -> Iterator[bytes]:
    at = FIRST_CHUNK_AT
    while at + CHUNK_HEAD.size <= len(data):
        length, kind = CHUNK_HEAD.unpack_from(data, at)
        at += CHUNK_HEAD.size
        if kind == b"IDAT":
            yield data[at : at + length]
        at += length + CHECKSUM_BYTES
