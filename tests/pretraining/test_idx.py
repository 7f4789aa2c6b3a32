from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.errors import PretrainingError
from backend.pretraining.idx import read_idx_images, read_idx_labels

Write = Callable[[str, np.ndarray], Path]


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_read_idx_images_returns_the_pixels_when_plain_or_gzipped(
    write_idx: Write, name: str
) -> None:
    values = np.arange(2 * 3 * 4).reshape(2, 3, 4)

    images = read_idx_images(write_idx(name, values))

    assert images.shape == (2, 1, 3, 4)
    assert np.array_equal(images[:, 0].numpy(), values)


def test_read_idx_labels_returns_integers_when_the_file_holds_labels(write_idx: Write) -> None:
    labels = read_idx_labels(write_idx("labels.gz", np.array([3, 0, 9])))

    assert labels.dtype == np.int64
    assert labels.tolist() == [3, 0, 9]


def test_read_idx_images_names_both_starts_when_given_labels(write_idx: Write) -> None:
    path = write_idx("labels", np.array([3, 0, 9]))

    with pytest.raises(PretrainingError, match=r"starts with 00000801.*00000803"):
        read_idx_images(path)


def test_read_idx_images_names_both_sizes_when_cut_off(write_idx: Write) -> None:
    path = write_idx("images", np.zeros((2, 3, 4)))
    path.write_bytes(path.read_bytes()[:-5])

    with pytest.raises(PretrainingError, match=r"holds 19 values.*\(2, 3, 4\)"):
        read_idx_images(path)


@pytest.mark.parametrize("content", [b"", b"no gzip", b"\x1f\x8b\x08\x00cut"])
def test_read_idx_images_raises_when_the_file_is_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(content)

    with pytest.raises(PretrainingError, match=r"images\.gz"):
        read_idx_images(path)
