"""Images of three colors, which any network tells apart, as data: URIs: no server is needed."""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

HUES = {"blue": 2 / 3, "green": 1 / 3, "red": 0.0}
CLASSES = tuple(HUES)


def colored_image(color: str, generator: np.random.Generator) -> str:
    """A noisy 16 px PNG of one color as a data: URI; each is different."""
    hue = (HUES[color] + generator.uniform(-0.08, 0.08)) % 1
    rgb = np.array(colorsys.hsv_to_rgb(hue, 0.9, generator.uniform(0.5, 1.0)))
    pixels = np.clip(rgb + generator.normal(0, 0.08, (16, 16, 3)), 0, 1) * 255
    data = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def colored_tasks(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Task data of images whose colors take turns; `truth` names the color."""
    generator = np.random.default_rng(seed)
    colors = [CLASSES[number % len(CLASSES)] for number in range(count)]
    return [{"image": colored_image(color, generator), "truth": color} for color in colors]


def true_color(data: Mapping[str, Any]) -> str:
    """The class of a task of `colored_tasks`."""
    return data["truth"]
