"""What a checkpoint holds of a trained network: its tail and its head, as tensors by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch

from backend.vision.linear_head import LinearHead

TAIL_PREFIX = "tail."


def trained_tensors(tail: torch.nn.Module, head: LinearHead) -> dict[str, torch.Tensor]:
    """The trained part, on the CPU."""
    named = {TAIL_PREFIX + key: value.cpu() for key, value in tail.state_dict().items()}
    return named | head.tensors()


def tail_state(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tail's state dict among the tensors of a checkpoint."""
    return {
        key.removeprefix(TAIL_PREFIX): value
        for key, value in tensors.items()
        if key.startswith(TAIL_PREFIX)
    }


def tail_digest(tail: torch.nn.Module) -> str:
    """12 hex digits of the tail's weights: one training, one version."""
    digest = hashlib.blake2b(digest_size=6)
    for _, tensor in sorted(tail.state_dict().items()):
        digest.update(tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
