"""The files that a run leaves: readable by the backend, whoever runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backend.errors import StoreError
from backend.pretraining.card import Card, write_weights

CARD = Card(
    model="vit_tiny_patch16_224",
    model_arguments={"depth": 1},
    image_px=8,
    mean=(0.5, 0.4, 0.3),
    std=(0.1, 0.2, 0.3),
    image_count=520,
    epochs=2,
    seed=0,
    init="scratch",
    command="python -m backend pretrain",
    settings={},
    metrics={},
)


def test_write_weights_leaves_two_files_that_everybody_can_read(tmp_path: Path) -> None:
    linear = torch.nn.Linear(2, 3)

    write_weights(tmp_path / "w.safetensors", linear, CARD)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.json", "w.safetensors"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}
    weight = load_file(tmp_path / "w.safetensors")["weight"]
    assert torch.equal(weight, linear.weight.half())
    assert json.loads((tmp_path / "w.json").read_text())["image_count"] == 520


def test_write_weights_raises_when_the_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreError, match=r"cannot write .*w\.safetensors"):
        write_weights(tmp_path / "file" / "w.safetensors", torch.nn.Linear(2, 3), CARD)
