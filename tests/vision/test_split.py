"""Trunk and tail together must be the whole ViT, wherever it is cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.errors import SettingsError
from backend.vision.finetune import parse_finetune
from backend.vision.network import BackboneSpec, load_backbone
from backend.vision.split import Split, split_backbone
from tests.vision.tiny import (
    TINY_DINOV3,
    TINY_MODEL,
    TINY_SIGLIP,
    new_tiny_vit,
    normalized,
    random_pixels,
    reference_embedding,
    save_with_card,
)

CPU = torch.device("cpu")
MODES = ["head", "blocks:1", "blocks:2", "blocks:3", "blocks:4", "full"]
NETWORKS = {
    "plain": (TINY_MODEL, {}),
    "registers": (TINY_MODEL, {"reg_tokens": 3}),
    "layer_scale": (TINY_MODEL, {"init_values": 0.5}),
    "norm_after_pooling": (TINY_MODEL, {"fc_norm": True}),
    "rotary": (TINY_DINOV3, {}),
}


def cut(path: Path, mode: str, feature_blocks: int = 3) -> Split:
    backbone = load_backbone(BackboneSpec(TINY_MODEL, path, feature_blocks=feature_blocks))
    return split_backbone(backbone, parse_finetune(mode), CPU)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("network", NETWORKS)
def test_split_equals_timm_when_trunk_and_tail_are_chained(
    network: str, mode: str, tmp_path: Path
) -> None:
    model, arguments = NETWORKS[network]
    vit = new_tiny_vit(model, **arguments)
    path = save_with_card(vit, tmp_path / "w.safetensors", model, **arguments)
    if arguments.get("fc_norm"):
        vit.norm = vit.fc_norm  # forward_intermediates applies `norm` only
    pixels = random_pixels(2)
    split = cut(path, mode)
    with torch.inference_mode():
        embedding = split.tail(split.trunk(pixels))
    torch.testing.assert_close(embedding, reference_embedding(vit, pixels, 3), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("feature_blocks", [1, 2, 3, 4])
@pytest.mark.parametrize("mode", ["head", "blocks:2"])
def test_split_equals_timm_when_feature_blocks_vary(
    mode: str, feature_blocks: int, weights_path: Path, tiny_vit: torch.nn.Module
) -> None:
    pixels = random_pixels(2)
    split = cut(weights_path, mode, feature_blocks)
    with torch.inference_mode():
        embedding = split.tail(split.trunk(pixels))
    expected = reference_embedding(tiny_vit, pixels, feature_blocks)
    torch.testing.assert_close(embedding, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_split_equals_timms_forward_when_attention_pools(mode: str, tmp_path: Path) -> None:
    vit = new_tiny_vit(TINY_SIGLIP)
    pixels = random_pixels(2)
    split = cut(save_with_card(vit, tmp_path / "w.safetensors", TINY_SIGLIP), mode)
    with torch.inference_mode():
        embedding, expected = split.tail(split.trunk(pixels)), vit(normalized(pixels))
    torch.testing.assert_close(embedding, expected, atol=1e-4, rtol=1e-4)


def test_tail_trains_the_attention_that_pools(tmp_path: Path) -> None:
    path = save_with_card(new_tiny_vit(TINY_SIGLIP), tmp_path / "w.safetensors", TINY_SIGLIP)
    for mode in ("blocks:1", "full"):
        split = cut(path, mode)
        tail = split.new_tail()
        tail(split.trunk(random_pixels(2))).square().sum().backward()
        gradients = {name: one.grad for name, one in tail.named_parameters()}
        assert sum("latent" in name for name in gradients) == 1
        assert all(gradient is not None for gradient in gradients.values())


def test_activation_shape_holds_tokens_and_older_cls_when_features_lie_in_the_trunk(
    weights_path: Path,
) -> None:
    # 16 patches and CLS; features of blocks 1, 2, 3; the trunk ends with block 2, so that block 1's
    # CLS token is extra and block 2's is the first of the tokens
    assert cut(weights_path, "blocks:1").activation_shape == (1 + 17, 16)
    assert cut(weights_path, "blocks:2").activation_shape == (17, 16)
    assert cut(weights_path, "head").activation_shape == (3 * 16,)
    assert cut(weights_path, "full").activation_shape == (3, 16, 16)


def test_new_tail_leaves_the_pretrained_one_alone_when_it_is_changed(weights_path: Path) -> None:
    split = cut(weights_path, "blocks:2")
    before = {key: value.clone() for key, value in split.tail.state_dict().items()}
    tail = split.new_tail()
    with torch.no_grad():
        for parameter in tail.parameters():
            assert parameter.requires_grad
            parameter.add_(1)
    for key, value in split.tail.state_dict().items():
        assert torch.equal(value, before[key])


def test_split_raises_when_more_blocks_train_than_there_are(weights_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"blocks:5.*has 4 blocks"):
        cut(weights_path, "blocks:5")


@pytest.mark.parametrize("text", ["", "heads", "blocks", "blocks:0", "blocks:-1", "blocks:2.5"])
def test_parse_finetune_raises_when_text_is_no_mode(text: str) -> None:
    with pytest.raises(SettingsError, match="head, blocks:n"):
        parse_finetune(text)
