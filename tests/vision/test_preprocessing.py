"""Pixels: the whole image, in the right place, normalized by hand-checked numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from backend.vision.preprocessing import Normalize, Preprocessing

PREPROCESSING = Preprocessing(8, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (30, 9), (5, 400)])
def test_pixels_are_square_and_keep_the_color_when_the_image_has_one(size: tuple[int, int]) -> None:
    pixels = PREPROCESSING.pixels(Image.new("RGB", size, (10, 20, 250)))
    assert pixels.dtype == torch.uint8
    assert torch.equal(pixels, torch.tensor([10, 20, 250]).view(3, 1, 1).expand(3, 8, 8).byte())


def test_pixels_show_both_ends_when_the_image_is_wide() -> None:
    image = np.zeros((10, 400, 3), np.uint8)
    image[:, :60] = (255, 0, 0)
    image[:, -60:] = (0, 255, 0)
    pixels = PREPROCESSING.pixels(Image.fromarray(image))
    assert pixels[:, 4, 0].tolist() == pytest.approx([255, 0, 0], abs=2)
    assert pixels[:, 4, 7].tolist() == pytest.approx([0, 255, 0], abs=2)


def test_pixels_are_untouched_when_the_size_is_right() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(
        PREPROCESSING.pixels(Image.fromarray(image)).numpy(), image.transpose(2, 0, 1)
    )


def test_normalize_subtracts_mean_and_divides_by_std() -> None:
    pixels = torch.tensor([[255, 0, 51]], dtype=torch.uint8).view(1, 3, 1, 1)
    normalized = Normalize(PREPROCESSING)(pixels).flatten().tolist()
    # (1 - 0.5) / 0.5, (0 - 0.25) / 0.25, (0.2 - 0) / 1
    assert normalized == pytest.approx([1.0, -1.0, 0.2], abs=1e-6)
