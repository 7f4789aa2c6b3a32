"""PIL images to the uint8 pixels the network starts from.

The whole image is resized to a square. timm's evaluation transform would resize the shorter side
and cut out the center; an annotator judges the whole image, though, and what stands at the edge of
a wide one must not be hidden from the network. ViTs are pre-trained on crops stretched by up to
4/3, so they bear the distortion. Mean and standard deviation are applied inside the network, where
a whole batch costs one operation and uint8 pixels take a quarter of the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """What the weights were trained on: size in pixels, per-channel mean and std of [0, 1] RGB."""

    image_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """The whole image as (3, image_px, image_px) uint8.

        Args:
            image: mode RGB, any size.
        """
        return self.stacked([self.square(image)])[0]

    def square(self, image: Image.Image) -> Image.Image:
        """The whole image at image_px x image_px.

        Args:
            image: mode RGB, any size.
        """
        return image.resize(
            (self.image_px, self.image_px), RESAMPLING[self.interpolation], reducing_gap=3.0
        )

    def stacked(self, squares: Sequence[Image.Image]) -> torch.Tensor:
        """(n, 3, image_px, image_px) uint8 of n images of `square`.

        One conversion for all: on small images numpy and torch are mostly calls.
        """
        content = bytearray().join(square.tobytes() for square in squares)
        rows = np.frombuffer(content, np.uint8).reshape(-1, self.image_px, self.image_px, 3)
        return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous()


class Normalize(torch.nn.Module):
    """(B, 3, H, W) uint8 pixels to normalized float32."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
        std = torch.tensor(preprocessing.std).view(3, 1, 1)
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float() * self.scale + self.shift
