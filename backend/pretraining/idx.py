"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzipped.

A header of big-endian integers (a magic number whose last byte is the number of dimensions, then
the dimensions), followed by the values, here always uint8.

Legend: N images, H x W pixels.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from backend.errors import PretrainingError

IMAGES_MAGIC = 0x00000803
LABELS_MAGIC = 0x00000801


def read_idx_images(path: Path) -> torch.Tensor:
    """(N, 1, H, W) uint8 images.

    Raises:
        PretrainingError: the file is missing, damaged or no IDX file of images.
    """
    return torch.from_numpy(_read(path, IMAGES_MAGIC).copy()).unsqueeze(1)


def read_idx_labels(path: Path) -> np.ndarray:
    """(N,) int64 labels.

    Raises:
        PretrainingError: the file is missing, damaged or no IDX file of labels.
    """
    return _read(path, LABELS_MAGIC).astype(np.int64)


def _read(path: Path, magic: int) -> np.ndarray:
    content = _content(path)
    dimensions = magic & 0xFF
    start = 4 * (1 + dimensions)
    if len(content) < start or struct.unpack(">I", content[:4])[0] != magic:
        raise PretrainingError(
            f"{path} starts with {content[:4].hex() or 'nothing'}; an IDX file of this kind starts "
            f"with {magic:08x}"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    values = np.frombuffer(content, np.uint8, offset=start)
    if values.size != np.prod(shape):
        raise PretrainingError(f"{path} holds {values.size} values; its header promises {shape}")
    return values.reshape(shape)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise PretrainingError(f"{path} cannot be read: {error}") from error
