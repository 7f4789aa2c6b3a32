"""Networks to pre-train, and the weights they may start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.errors import PretrainingError, WeightsError
from backend.vision.trainable import (
    Architecture,
    build_vit,
    card_architecture,
    load_start,
    own_image_px,
)
from backend.vision.vit_checks import patch_px
from tests.vision.tiny import TINY_MODEL, new_tiny_vit, save_with_card

ARGUMENTS = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 4, "num_heads": 2}


def test_build_vit_returns_cls_features_when_the_architecture_is_a_vit() -> None:
    vit = build_vit(Architecture(TINY_MODEL, ARGUMENTS), drop_path_rate=0.1)

    assert vit(torch.zeros(2, 3, 16, 16)).shape == (2, 16)
    assert patch_px(vit) == 4


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (Architecture("vit_tiny_patch99", {}), "cannot build vit_tiny_patch99"),
        (Architecture(TINY_MODEL, {**ARGUMENTS, "num_heads": 5}), "num_heads"),
        (Architecture("test_resnet", {}), "ViT with a CLS token"),
        (
            Architecture("beit_base_patch16_224", {"depth": 1, "embed_dim": 16, "num_heads": 2}),
            "is a Beit; needed is a ViT with a CLS token",
        ),
        (
            Architecture(TINY_MODEL, {**ARGUMENTS, "class_token": False, "global_pool": "avg"}),
            "ViT with a CLS token",
        ),
    ],
)
def test_build_vit_raises_when_it_is_no_vit_with_a_cls_token(
    architecture: Architecture, words: str
) -> None:
    with pytest.raises(PretrainingError, match=words):
        build_vit(architecture)


def test_own_image_px_is_timms_when_the_model_is_known() -> None:
    assert own_image_px("vit_small_patch16_384") == 384
    with pytest.raises(PretrainingError, match="vit_small_patch99"):
        own_image_px("vit_small_patch99")


def test_load_start_has_every_weight_under_timms_name(tmp_path: Path) -> None:
    vit = new_tiny_vit()
    path = save_with_card(vit, tmp_path / "weights.safetensors")
    given = card_architecture(path)

    start = load_start(given.model, path, 16)

    expected = vit.state_dict()
    assert start.state.keys() == expected.keys()
    assert all(torch.equal(start.state[name], expected[name]) for name in expected)


def test_load_start_resamples_positions_when_the_image_is_larger(tmp_path: Path) -> None:
    path = save_with_card(new_tiny_vit(), tmp_path / "weights.safetensors")

    start = load_start(TINY_MODEL, path, 24)

    assert start.state["pos_embed"].shape == (1, 1 + 6 * 6, 16)


def test_load_start_raises_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file"):
        load_start(TINY_MODEL, tmp_path / "nowhere.pth", 16)
