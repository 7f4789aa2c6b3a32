"""Checkpoints: named tensors and a card that says what they are, in one safetensors file.

The card is JSON in the file's metadata under the key "card", so tensors and description cannot be
parted or come from two different rounds. Beside it stands a digest of both: a disk's bad block is
found, not predicted with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load, save_file

from backend.errors import StoreError, StoreUnavailableError
from model_store.files import write_atomically

CARD_KEY = "card"
DIGEST_KEY = "digest"


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
    text = json.dumps(card, ensure_ascii=False)
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    metadata = {CARD_KEY: text, DIGEST_KEY: _digest(text, plain)}
    write_atomically(path, lambda temporary: save_file(plain, temporary, metadata))
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`.

    Raises:
        StoreError: the file is missing, damaged, or carries no card.
        StoreUnavailableError: the file system cannot read it now.
    """
    try:
        # Not mapped: what fails then ends the process, as where another machine removes the file.
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"cannot read the checkpoint {path}: {error}") from error
    except OSError as error:
        raise StoreUnavailableError(f"cannot read the checkpoint {path} now: {error}") from error
    try:
        tensors = load(data)
        metadata = _metadata(data)
    except (safetensors.SafetensorError, ValueError) as error:
        raise StoreError(f"cannot read the checkpoint {path}: {error}") from error
    text = metadata.get(CARD_KEY)
    if text is None:
        raise StoreError(f"{path} carries no card; needed is a file of save_checkpoint")
    # Those of earlier releases have no digest.
    if metadata.get(DIGEST_KEY) not in (None, _digest(text, tensors)):
        raise StoreError(f"the checkpoint {path} is damaged: its digest is another one")
    try:
        return Checkpoint(tensors, json.loads(text))
    except ValueError as error:
        raise StoreError(f"cannot read the card of the checkpoint {path}: {error}") from error


def _metadata(data: bytes) -> Mapping[str, str]:
    """What a safetensors file says of itself: its head is JSON, behind 8 bytes of its length."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__") or {}


def _digest(card: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """A digest of a card and of plain tensors by name: 32 hex digits."""
    digest = hashlib.blake2b(card.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
