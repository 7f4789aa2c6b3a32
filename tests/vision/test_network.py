"""Loading a backbone: from a card, from plain state dicts, and every way it can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional

from backend.errors import SettingsError, WeightsError
from backend.vision.network import Backbone, BackboneSpec, load_backbone
from tests.vision.tiny import (
    TINY_ARGUMENTS,
    TINY_DINOV2,
    TINY_DINOV3,
    TINY_MEAN,
    TINY_MODEL,
    TINY_PX,
    TINY_SIGLIP,
    TINY_STD,
    new_tiny_vit,
    save_with_card,
)

REAL_MODEL = "test_vit"  # timm's own for tests: 6 blocks, 64 wide, patch 16, 160 px


def load(path: Path | None, name: str = "not_used", **changes: object) -> Backbone:
    return load_backbone(BackboneSpec(name, path, **{"feature_blocks": 2, **changes}))


def test_load_backbone_rebuilds_the_network_when_the_file_has_a_card(weights_path: Path) -> None:
    backbone = load(weights_path)
    assert backbone.name == TINY_MODEL
    assert len(backbone.blocks) == TINY_ARGUMENTS["depth"]
    assert backbone.embedding_dim == 2 * TINY_ARGUMENTS["embed_dim"]
    assert backbone.preprocessing.image_px == TINY_PX
    assert backbone.preprocessing.mean == TINY_MEAN
    assert backbone.preprocessing.std == TINY_STD
    assert backbone.version == f"{TINY_MODEL}-16px-{backbone.fingerprint}"


def test_load_backbone_freezes_every_weight(weights_path: Path) -> None:
    backbone = load(weights_path)
    for part in (backbone.stem, backbone.blocks, backbone.norm):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_load_backbone_resamples_positions_when_image_px_is_another(
    weights_path: Path, tiny_vit: torch.nn.Module
) -> None:
    positions = load(weights_path, image_px=24).stem.vit.pos_embed
    cls, grid = tiny_vit.pos_embed[:, :1], tiny_vit.pos_embed[:, 1:]
    image = grid.reshape(1, 4, 4, 16).permute(0, 3, 1, 2)
    resampled = functional.interpolate(image, (6, 6), mode="bicubic", antialias=True)
    expected = torch.cat([cls, resampled.permute(0, 2, 3, 1).reshape(1, 36, 16)], dim=1)
    torch.testing.assert_close(positions, expected)


def test_fingerprint_differs_when_features_do(weights_path: Path, tmp_path: Path) -> None:
    changed = new_tiny_vit()
    with torch.no_grad():
        changed.blocks[0].mlp.fc1.bias[0] += 0.1
    other = save_with_card(changed, tmp_path / "other.safetensors")
    fingerprints = [
        load(weights_path).fingerprint,
        load(weights_path, image_px=24).fingerprint,
        load(weights_path, feature_blocks=3).fingerprint,
        load(other).fingerprint,
    ]
    assert len(set(fingerprints)) == 4
    assert load(weights_path).fingerprint == fingerprints[0]


@pytest.mark.parametrize(
    ("nesting", "prefix"),
    [
        (None, ""),
        ("teacher", "backbone."),
        ("state_dict", "module."),
        ("model", "module.backbone."),
    ],
)
def test_load_backbone_finds_the_weights_when_nested_and_prefixed(
    nesting: str | None, prefix: str, tmp_path: Path
) -> None:
    vit = timm.create_model(REAL_MODEL, num_classes=3, depth=1)
    state = {f"{prefix}{key}": value for key, value in vit.state_dict().items()}
    path = tmp_path / "w.pth"
    torch.save(state if nesting is None else {nesting: state, "epoch": 7}, path)
    with pytest.raises(WeightsError, match=r"missing: blocks\.1\."):
        load(path, REAL_MODEL)  # everything else, also the head, was understood
    all_blocks = state | {
        f"{prefix}blocks.{block}.{key}": value
        for block in range(1, 6)
        for key, value in vit.blocks[0].state_dict().items()
    }
    torch.save(all_blocks if nesting is None else {nesting: all_blocks}, path)
    backbone = load(path, REAL_MODEL)
    assert torch.equal(backbone.blocks[5].attn.qkv.weight, vit.blocks[0].attn.qkv.weight)
    assert backbone.preprocessing.image_px == 160


def test_load_backbone_reads_siglip_out_of_openclips_file(tmp_path: Path) -> None:
    vit = new_tiny_vit(TINY_SIGLIP)
    state = {f"visual.trunk.{key}": value for key, value in vit.state_dict().items()}
    backbone = load(with_card(state | {"logit_scale": torch.ones(1)}, TINY_SIGLIP, tmp_path))
    assert torch.equal(backbone.pool.latent, vit.attn_pool.latent)
    assert torch.equal(backbone.blocks[3].mlp.fc2.bias, vit.blocks[3].mlp.fc2.bias)


def test_load_backbone_reads_dinov2_by_its_authors_names(tmp_path: Path) -> None:
    # one position grid with the CLS token's; register tokens have none
    vit = new_tiny_vit(TINY_DINOV2)
    state = vit.state_dict()
    own, registers = torch.full((1, 1, 16), 0.25), state.pop("reg_token")
    state["cls_token"] = state["cls_token"] - own
    state["pos_embed"] = torch.cat([own, state["pos_embed"]], dim=1)
    state |= {"register_tokens": registers, "mask_token": torch.zeros(1, 16)}
    backbone = load(with_card(state, TINY_DINOV2, tmp_path))
    torch.testing.assert_close(backbone.stem.vit.cls_token, vit.cls_token)
    assert torch.equal(backbone.stem.vit.pos_embed, vit.pos_embed)
    assert torch.equal(backbone.stem.vit.reg_token, registers)


def test_load_backbone_reads_dinov3_by_its_authors_names(tmp_path: Path) -> None:
    vit = new_tiny_vit(TINY_DINOV3)
    names = {"reg_token": "storage_tokens", "gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma"}
    state = {}
    for key, value in vit.state_dict().items():
        *before, last = key.split(".")
        state[".".join([*before, names.get(last, last)])] = value
    unused = {"mask_token": torch.zeros(1, 16), "rope_embed.periods": torch.zeros(4)}
    backbone = load(with_card(state | unused, TINY_DINOV3, tmp_path))
    assert torch.equal(backbone.stem.vit.reg_token, vit.reg_token)
    assert torch.equal(backbone.blocks[3].gamma_2, vit.blocks[3].gamma_2)


def with_card(state: dict[str, torch.Tensor], model: str, folder: Path) -> Path:
    """A tiny network's tensors under other names than timm's."""
    card = {"model": model, "model_arguments": TINY_ARGUMENTS, "image_px": TINY_PX}
    path = folder / "w.safetensors"
    save_file(
        {key: value.contiguous() for key, value in state.items()}, path, {"card": json.dumps(card)}
    )
    return path


def test_load_backbone_names_the_keys_when_weights_are_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    vit = timm.create_model(REAL_MODEL, num_classes=0, depth=7)
    save_file(vit.state_dict(), path)
    with pytest.raises(WeightsError, match=r"another network.*too many: blocks\.6\.") as caught:
        load(path, REAL_MODEL)
    assert "missing" not in str(caught.value)


def test_load_backbone_names_the_shapes_when_weights_are_of_another_network(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model(REAL_MODEL, num_classes=0, mlp_ratio=2).state_dict(), path)
    wanted = r"blocks\.0\.mlp\.fc1\.weight is \(128, 64\), needed is \(192, 64\)"
    with pytest.raises(WeightsError, match=wanted):
        load(path, REAL_MODEL)


def test_load_backbone_refuses_when_patches_have_another_size(tmp_path: Path) -> None:
    # timm's own loader would resample the patch embedding without a word
    path = tmp_path / "w.safetensors"
    vit = timm.create_model(REAL_MODEL, num_classes=0, patch_size=8, img_size=80)
    save_file(vit.state_dict(), path)
    with pytest.raises(WeightsError, match=r"patch_embed\.proj\.weight is \(64, 3, 8, 8\)"):
        load(path, REAL_MODEL)


def test_load_backbone_refuses_when_file_has_registers_and_model_has_none(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    vit = timm.create_model(REAL_MODEL, num_classes=0, reg_tokens=4)
    save_file(vit.state_dict(), path)
    with pytest.raises(WeightsError, match="another network"):
        load(path, REAL_MODEL)


def test_load_backbone_raises_when_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file .*gone\.pth"):
        load(tmp_path / "gone.pth", REAL_MODEL)


@pytest.mark.parametrize("name", ["text.safetensors", "text.pth"])
def test_load_backbone_raises_when_file_is_no_weights_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("This is a text file, with enough bytes to be taken for a header.")
    with pytest.raises(WeightsError, match=name):
        load(path, REAL_MODEL)


def test_load_backbone_raises_when_file_would_run_code(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple:
            return (print, ("code from a weights file",))

    path = tmp_path / "w.pth"
    torch.save({"model": Runs()}, path)
    with pytest.raises(WeightsError, match="weights_only"):
        load(path, REAL_MODEL)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"model": {}}])
def test_load_backbone_raises_when_file_holds_no_tensors(content: object, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError, match=r"tensors"):
        load(path, REAL_MODEL)


@pytest.mark.parametrize("card", ["no json", "[]", json.dumps({"image_px": 3})])
def test_load_backbone_raises_when_card_cannot_be_understood(
    card: str, tiny_vit: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(tiny_vit.state_dict(), path, {"card": card})
    with pytest.raises(WeightsError, match="card"):
        load(path)


def test_load_backbone_raises_when_card_arguments_are_unknown(
    tiny_vit: torch.nn.Module, tmp_path: Path
) -> None:
    path = save_with_card(tiny_vit, tmp_path / "w.safetensors", wings=2)
    with pytest.raises(WeightsError, match="wings"):
        load(path)


def test_load_backbone_suggests_names_when_timm_does_not_know_the_name() -> None:
    with pytest.raises(WeightsError, match=r"no model 'vit_smal_patch16_224\.dino'.*near.*\.dino"):
        load(None, "vit_smal_patch16_224.dino")


def test_load_backbone_suggests_names_when_timm_does_not_know_the_tag() -> None:
    with pytest.raises(WeightsError, match=r"vit_small_patch16_224\.dyno.*224\.dino"):
        load(None, "vit_small_patch16_224.dyno")


@pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_siglip_gap_224", "convnext_tiny"])
def test_load_backbone_raises_when_network_has_neither_a_cls_token_nor_attention_pooling(
    name: str,
) -> None:
    with pytest.raises(WeightsError, match=r"CLS token, .* or with attention pooling"):
        load(None, name)


def test_load_backbone_names_both_remedies_when_hub_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    create_model = timm.create_model

    def without_hub(name: str, pretrained: bool = False, **arguments: object) -> torch.nn.Module:
        if pretrained:
            raise FileNotFoundError("cannot find the requested files in the local cache")
        return create_model(name, **arguments)

    monkeypatch.setattr(timm, "create_model", without_hub)
    with pytest.raises(WeightsError) as caught:
        load(None, "vit_small_patch16_224.dino")
    for remedy in ("ALFAMIX_BACKBONE_WEIGHTS", "reachable", "ALFAMIX_BACKBONE=bundled"):
        assert remedy in str(caught.value)


def test_load_backbone_raises_when_timm_has_no_weights_for_the_name() -> None:
    with pytest.raises(WeightsError, match=r"no pre-trained weights for vit_small_patch16_18x2"):
        load(None, "vit_small_patch16_18x2_224")


@pytest.mark.parametrize(("image_px", "hint"), [(18, "16 or 20"), (3, "4 or 8")])
def test_load_backbone_raises_when_patches_do_not_fit(
    image_px: int, hint: str, weights_path: Path
) -> None:
    with pytest.raises(SettingsError, match=rf"IMAGE_PX is {image_px}.*{hint}"):
        load(weights_path, image_px=image_px)


@pytest.mark.parametrize("feature_blocks", [0, 5])
def test_load_backbone_raises_when_feature_blocks_are_out_of_range(
    feature_blocks: int, weights_path: Path
) -> None:
    with pytest.raises(SettingsError, match=rf"FEATURE_BLOCKS is {feature_blocks}.*4 blocks"):
        load(weights_path, feature_blocks=feature_blocks)
