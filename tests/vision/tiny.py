"""A ViT small enough for tests, a weights file of it with a card, and images for it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from backend.decoding import decoded_image

TINY_MODEL = "vit_tiny_patch16_224"
TINY_DINOV2 = "vit_small_patch14_reg4_dinov2"
TINY_DINOV3 = "vit_small_patch16_dinov3"
TINY_SIGLIP = "vit_base_patch16_siglip_224"
TINY_ARGUMENTS = {"patch_size": 4, "embed_dim": 16, "depth": 4, "num_heads": 2}
TINY_PX = 16
TINY_MEAN = (0.5, 0.4, 0.3)
TINY_STD = (0.2, 0.25, 0.3)


def new_tiny_vit(model: str = TINY_MODEL, **arguments: object) -> torch.nn.Module:
    """A tiny ViT of timm's with random weights, the same in every test."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = timm.create_model(
            model, num_classes=0, img_size=TINY_PX, **{**TINY_ARGUMENTS, **arguments}
        )
        for parameter in vit.parameters():  # timm's small initial weights would hide mistakes
            torch.nn.init.normal_(parameter, std=0.3)
    return vit.eval()


def save_with_card(
    vit: torch.nn.Module, path: Path, model: str = TINY_MODEL, **arguments: object
) -> Path:
    """`vit` at `path` with the card that rebuilds it."""
    card = {
        "model": model,
        "model_arguments": {**TINY_ARGUMENTS, **arguments},
        "image_px": TINY_PX,
        "mean": TINY_MEAN,
        "std": TINY_STD,
    }
    save_file(vit.state_dict(), path, {"card": json.dumps(card)})
    return path


def normalized(pixels: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) uint8 pixels as the tiny card's mean and std want them."""
    mean = torch.tensor(TINY_MEAN).view(3, 1, 1)
    return (pixels / 255 - mean) / torch.tensor(TINY_STD).view(3, 1, 1)


def reference_embedding(
    vit: torch.nn.Module, pixels: torch.Tensor, feature_blocks: int
) -> torch.Tensor:
    """The embedding by timm's own `forward_intermediates`: normed CLS tokens, concatenated."""
    with torch.inference_mode():
        layers = vit.forward_intermediates(
            normalized(pixels),
            indices=feature_blocks,
            return_prefix_tokens=True,
            norm=True,
            intermediates_only=True,
        )
    return torch.cat([prefix[:, 0] for _, prefix in layers], dim=1)


def random_pixels(count: int, image_px: int = TINY_PX) -> torch.Tensor:
    """(count, 3, image_px, image_px) uint8 noise."""
    generator = torch.Generator().manual_seed(1)
    shape = (count, 3, image_px, image_px)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def encoded_image(seed: int, brightness: int = 128) -> bytes:
    """A PNG of 20 x 20 noise around `brightness`."""
    noise = np.random.default_rng(seed).integers(-40, 41, (20, 20, 3))
    image = Image.fromarray((noise + brightness).clip(0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def decode_image(data: bytes, at_least_px: int | None = None) -> Image.Image:
    """A copy of the picture, which outlives the context."""
    with decoded_image(data, at_least_px) as image:
        return image.copy()


def image_keys(count: int) -> list[str]:
    """Distinct 32-hex keys."""
    return [f"{number:032x}" for number in range(count)]


class CountingLoader:
    """Dark images for even keys, bright ones for odd; remembers which keys were asked for."""

    def __init__(self, broken: Callable[[str], bool] = lambda key: False) -> None:
        self.loaded: list[str] = []
        self._broken = broken

    def __call__(self, image_key: str) -> bytes:
        self.loaded.append(image_key)
        if self._broken(image_key):
            return b"this is a text file"
        number = int(image_key, 16)
        return encoded_image(number, brightness=60 if number % 2 == 0 else 190)
