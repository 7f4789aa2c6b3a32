from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2 import functional as torchvision

from backend.pretraining.config import Crops
from backend.pretraining.crops import (
    blurred,
    crop_boxes,
    grayed,
    jittered,
    multi_crop,
    resized_crops,
)

CROPS = Crops(global_px=8, local_px=4, local_count=3, jitter=0.4, gray=0.5, blur=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> torch.Tensor:
    """(5, 3, 8, 8) in 0..1."""
    return torch.rand(5, 3, 8, 8, generator=generator(3))


def test_resized_crops_cuts_out_the_box_when_it_lies_on_the_pixel_grid(
    images: torch.Tensor,
) -> None:
    # columns 2..5 and rows 4..7 of 8
    size = torch.tensor([[0.5, 0.5]]).repeat(5, 1)
    center = torch.tensor([[0.5, 0.75]]).repeat(5, 1)
    flip = torch.tensor([False, True, False, True, True])

    views = resized_crops(images, size, center, flip, 4)

    expected = images[:, :, 4:8, 2:6].clone()
    expected[flip] = expected[flip].flip(-1)
    assert torch.allclose(views, expected, atol=1e-5)


def test_crop_boxes_lie_inside_and_have_areas_in_scale() -> None:
    size, center = crop_boxes(2000, (0.1, 0.5), generator())
    area = size.prod(dim=1)
    ratio = size[:, 0] / size[:, 1]

    assert (center - size / 2).min() >= -1e-6
    assert (center + size / 2).max() <= 1 + 1e-6
    assert 0.1 - 1e-6 <= area.min() < 0.12
    assert 0.48 < area.max() <= 0.5 + 1e-6
    assert 3 / 4 - 1e-6 <= ratio.min() < 0.77
    assert 1.3 < ratio.max() <= 4 / 3 + 1e-6


def test_jittered_multiplies_and_stretches_when_nothing_is_clipped() -> None:
    views = torch.rand(4, 1, 3, 3, generator=generator()) * 0.2 + 0.3
    draws = torch.rand(2, 4, generator=generator(5)) * 0.4 + 0.8
    bright = views * draws[0].view(-1, 1, 1, 1)
    mean = bright.mean(dim=(1, 2, 3), keepdim=True)

    found = jittered(views, 0.2, generator(5))

    assert torch.allclose(found, mean + draws[1].view(-1, 1, 1, 1) * (bright - mean), atol=1e-6)


def test_grayed_equals_torchvision_when_colored(images: torch.Tensor) -> None:
    expected = torchvision.rgb_to_grayscale(images, num_output_channels=3)

    assert torch.allclose(grayed(images), expected, atol=1e-3)


def test_blurred_equals_torchvision_for_each_sigma(images: torch.Tensor) -> None:
    sigma = torch.tensor([0.3, 0.5, 0.8, 1.0, 1.2])
    expected = [
        torchvision.gaussian_blur(image, [9, 9], [s.item()] * 2)  # reach 4 = ceil(3 * 1.2)
        for image, s in zip(images, sigma, strict=True)
    ]

    assert torch.allclose(blurred(images, sigma), torch.stack(expected), atol=1e-5)


def test_multi_crop_returns_two_wide_and_the_narrow_views(images: torch.Tensor) -> None:
    views = multi_crop(CROPS, generator())(images)

    assert [tuple(view.shape) for view in views] == [(5, 3, 8, 8)] * 2 + [(5, 3, 4, 4)] * 3
    assert all(view.min() >= 0 and view.max() <= 1 + 1e-6 for view in views)
    assert not torch.equal(views[0], views[1])


def test_multi_crop_repeats_itself_when_the_generator_does(images: torch.Tensor) -> None:
    one, same, other = (multi_crop(CROPS, generator(seed))(images) for seed in (1, 1, 2))

    assert all(map(torch.equal, one, same))
    assert not any(map(torch.equal, one, other))


def test_multi_crop_leaves_the_image_when_everything_is_off(images: torch.Tensor) -> None:
    off = replace(CROPS, global_scale=(1.0, 1.0), jitter=0.0, gray=0.0, blur=0.0)

    view = multi_crop(off, generator())(images[:, :, :, :1].expand(-1, -1, -1, 8))[0]

    # whole area with an aspect ratio: the longer side is cut, columns are all the same here
    assert torch.allclose(view.std(dim=-1), torch.zeros(5, 3, 8), atol=1e-5)
