"""Checkpoints: named tensors and a card that says what they are, in one safetensors file.

The card is JSON in the file's metadata under the key "card", so tensors and description cannot be
parted or come from two different rounds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from backend.errors import StoreError
from model_store.files import write_atomically

CARD_KEY = "card"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name (on the CPU) and the card saved with them."""

    tensors: dict[str, torch.Tensor]
    card: dict[str, Any]


def save_checkpoint(
    folder: Path, name: str, tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any]
) -> Path:
    """The path of the new `<folder>/<name>.safetensors`, written atomically.

    Raises:
        StoreError: the folder or the file cannot be written.
    """
    path = folder / f"{name}.safetensors"
    metadata = {CARD_KEY: json.dumps(card, ensure_ascii=False)}
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    write_atomically(path, lambda temporary: save_file(plain, temporary, metadata))
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        StoreError: the file is missing, damaged, or carries no card.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            card = json.loads((file.metadata() or {})[CARD_KEY])
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise StoreError(f"cannot read the checkpoint {path}: {error}") from error
    except KeyError as error:
        raise StoreError(f"{path} carries no card; needed is a file of save_checkpoint") from error
    return Checkpoint(tensors, card)
