"""Multi-crop views of a whole batch at once, as tensor operations.

lightly's own DINOTransform goes image by image through PIL: 6.6 to 7.9 ms for four views of a 28 px
image on one core, as long as a small network's whole training step. These views are its crops,
flip, brightness, contrast, gray and blur, computed for a batch in 0.2 ms per image and drawn from a
generator, so that a run that goes on draws what it would have drawn. Deviations: bilinear instead
of bicubic resampling; no hue and no solarization, which mean nothing for gray and scientific
images.

Legend: B batch, C channels (1 gray or 3), H x W source pixels, P side of a view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from lightly.transforms.multi_view_transform import MultiViewTransform
from torch import Tensor
from torch.nn import functional

from backend.pretraining.config import Crops

ASPECT_RATIO = (3 / 4, 4 / 3)
# lightly's range for 224 px, as shares of the side, so that small images are not wiped out
BLUR_SIGMA = (0.1 / 224, 2.0 / 224)
BLUR_REACH = 3


@dataclass(frozen=True)
class View:
    """One kind of view, global or local; `generator` (on the CPU) drives every draw."""

    px: int
    scale: tuple[float, float]
    crops: Crops
    generator: torch.Generator

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) float images in 0..1 -> (B, C, px, px), a new random view of each."""
        count, generator = len(images), self.generator
        size, center = crop_boxes(count, self.scale, generator)
        flip = torch.rand(count, generator=generator) < 0.5
        views = resized_crops(images, size, center, flip, self.px)
        if self.crops.jitter:
            views = jittered(views, self.crops.jitter, generator)
        if self.crops.gray:
            views = chosen(views, grayed(views), self.crops.gray, generator)
        if self.crops.blur:
            sigma = uniform(count, *BLUR_SIGMA, generator) * self.px
            views = chosen(views, blurred(views, sigma), self.crops.blur, generator)
        return views


def multi_crop(crops: Crops, generator: torch.Generator) -> Callable[[Tensor], list[Tensor]]:
    """What makes two global views and `crops.local_count` local ones of a batch, in this order."""
    wide = View(crops.global_px, crops.global_scale, crops, generator)
    narrow = View(crops.local_px, crops.local_scale, crops, generator)
    views = MultiViewTransform([wide, wide] + [narrow] * crops.local_count)
    # lightly's type also names PIL images
    return cast("Callable[[Tensor], list[Tensor]]", views)


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """`count` uniform draws of [low, high), (count,) float32."""
    return torch.rand(count, generator=generator) * (high - low) + low


def crop_boxes(
    count: int, scale: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sizes and centers of random boxes, each (count, 2) in x, y and as shares of the image.

    Area uniform in `scale`, aspect ratio log-uniform in 3/4..4/3, as torchvision's
    RandomResizedCrop; where that tries boxes that do not fit again, the longer side is cut here.
    """
    area = uniform(count, *scale, generator)
    ratio = uniform(count, math.log(ASPECT_RATIO[0]), math.log(ASPECT_RATIO[1]), generator).exp()
    size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1.0)
    center = size / 2 + torch.rand(count, 2, generator=generator) * (1 - size)
    return size, center


def resized_crops(images: Tensor, size: Tensor, center: Tensor, flip: Tensor, px: int) -> Tensor:
    """The boxes of (B, C, H, W) float images resampled to (B, C, px, px), mirrored where `flip`."""
    direction = 1.0 - 2.0 * flip.float()
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = size[:, 0] * direction
    theta[:, 1, 1] = size[:, 1]
    theta[:, :, 2] = 2 * center - 1
    shape = [len(images), images.shape[1], px, px]
    grid = functional.affine_grid(theta.to(images.device), shape, align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jittered(views: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """(B, C, P, P) views in 0..1, brightness and contrast of each scaled by 1 +- `strength`."""
    low, high = max(0.0, 1 - strength), 1 + strength
    brightness = uniform(len(views), low, high, generator).view(-1, 1, 1, 1).to(views.device)
    contrast = uniform(len(views), low, high, generator).view(-1, 1, 1, 1).to(views.device)
    bright = (views * brightness).clamp(0, 1)
    mean = bright.mean(dim=(1, 2, 3), keepdim=True)
    return ((bright - mean) * contrast + mean).clamp(0, 1)


def grayed(views: Tensor) -> Tensor:
    """(B, C, P, P) views without color, by the luma weights of ITU-R 601 as Pillow."""
    if views.shape[1] == 1:
        return views
    luma = torch.tensor([0.299, 0.587, 0.114], device=views.device).view(1, 3, 1, 1)
    return (views * luma).sum(dim=1, keepdim=True).expand_as(views)


def blurred(views: Tensor, sigma: Tensor) -> Tensor:
    """(B, C, P, P) views, each convolved with a Gaussian of its own `sigma` (B,) in pixels."""
    count, channels, px = views.shape[0], views.shape[1], views.shape[-1]
    reach = min(math.ceil(BLUR_REACH * sigma.max().item()), px - 1)
    offsets = torch.arange(-reach, reach + 1).float()
    kernel = torch.exp(-(offsets**2) / (2 * sigma.view(-1, 1) ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(views.device)
    kernel = kernel.repeat_interleave(channels, dim=0).unsqueeze(1)
    planes = functional.pad(views, [reach] * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    for weights in (kernel.unsqueeze(2), kernel.unsqueeze(3)):
        planes = functional.conv2d(planes, weights, groups=count * channels)
    return planes.view(count, channels, px, px)


def chosen(views: Tensor, others: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each of `views` or, with probability `share`, its counterpart in `others`."""
    take = torch.rand(len(views), generator=generator) < share
    return torch.where(take.view(-1, 1, 1, 1).to(views.device), others, views)
