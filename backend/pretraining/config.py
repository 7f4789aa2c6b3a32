"""What one pre-training run is made of: everything a resumed run and the card need to know."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Crops:
    """Views of one image. Scales are shares of the image's area, sides are in pixels.

    `jitter` is the largest relative change of brightness and contrast, `gray` the share of views
    without color, `blur` the share of blurred ones.
    """

    global_px: int = 224
    global_scale: tuple[float, float] = (0.4, 1.0)
    local_px: int = 96
    local_scale: tuple[float, float] = (0.1, 0.4)
    local_count: int = 4
    jitter: float = 0.4
    gray: float = 0.0
    blur: float = 0.0


@dataclass(frozen=True)
class DinoConfig:
    """One run's settings, named as in DINO's code; the defaults suit small data sets.

    `lr` and `min_lr` are for a batch of 256 and follow the batch (section 3.2 of the paper).
    DINO itself takes momentum 0.996, out_dim 65536, hidden_dim 2048 and ten epochs of warm-up for
    a million images.
    """

    model: str = "vit_tiny_patch16_224"
    model_arguments: dict[str, Any] = field(default_factory=dict)
    crops: Crops = field(default_factory=Crops)
    epochs: int = 100
    batch_size: int = 64
    lr: float = 5e-4
    min_lr: float = 1e-6
    warmup_epochs: float = 10.0
    weight_decay: float = 0.04
    weight_decay_end: float = 0.4
    momentum: float = 0.996
    student_temp: float = 0.1
    teacher_temp: float = 0.04
    center_momentum: float = 0.9
    freeze_last_layer_epochs: float = 1.0
    clip_grad: float = 3.0
    out_dim: int = 4096
    hidden_dim: int = 1024
    bottleneck_dim: int = 256
    drop_path_rate: float = 0.1
    init: str = "scratch"
    seed: int = 0

    def to_json(self) -> str:
        """The settings as JSON with sorted keys, so that equal settings are equal strings."""
        return json.dumps(asdict(self), sort_keys=True)
