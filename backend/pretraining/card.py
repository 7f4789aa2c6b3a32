"""The result: a safetensors file of the backbone in float16, and the card that describes it.

The card is also in the file's metadata under "card", so that the one file is enough.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from model_store.files import write_atomically

# The backend, which takes the file, may run as another user.
READABLE_BY_ALL = 0o644


@dataclass(frozen=True)
class Card:
    """What the weights are and how they were made.

    `model` and `model_arguments` are timm.create_model's; `mean` and `std` are of RGB in 0..1;
    `settings` is the whole DinoConfig; `metrics` what was measured at the end of the run.
    """

    model: str
    model_arguments: dict[str, Any]
    image_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_count: int
    epochs: int
    seed: int
    init: str
    command: str
    settings: dict[str, Any]
    metrics: dict[str, float]
    in_chans: int = 3
    method: str = "DINO (Caron et al., ICCV 2021), the teacher's backbone"
    dtype: str = "float16"


def write_weights(path: Path, backbone: nn.Module, card: Card) -> None:
    """Write `path` (timm's parameter names, float16) and, as JSON, the card beside it.

    Raises:
        StoreError: the place cannot be written.
    """
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in backbone.state_dict().items()
    }
    text = json.dumps(asdict(card), indent=2)
    _write(path, save(tensors, metadata={"format": "pt", "card": text}))
    _write(path.with_suffix(".json"), f"{text}\n".encode())


def _write(path: Path, content: bytes) -> None:
    def fill(temporary: Path) -> None:
        temporary.write_bytes(content)
        temporary.chmod(READABLE_BY_ALL)

    write_atomically(path, fill)
