"""The tiny ViT of `tiny.py` as fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.vision.tiny import new_tiny_vit, save_with_card


@pytest.fixture
def tiny_vit() -> torch.nn.Module:
    return new_tiny_vit()


@pytest.fixture
def weights_path(tiny_vit: torch.nn.Module, tmp_path: Path) -> Path:
    return save_with_card(tiny_vit, tmp_path / "tiny.safetensors")
