"""The networks of docs/backbones.md under random weights: loaded, normalized, pooled, fine-tuned.

Files hold timm's own keys and shapes: the small networks whole, those of base size with two of
their twelve blocks, by a card; whole in `make soak`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from backend.process.startup import open_session
from backend.replay import memory_stores
from backend.settings import Settings
from backend.vision import LabeledImages, VisionSession
from backend.vision.network import BackboneSpec, load_backbone
from tests.vision.tiny import CountingLoader, image_keys, random_pixels

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Known:
    """A network as its authors publish it.

    image_px: of the images it was last pre-trained on.
    normalization: mean and std of [0, 1] RGB.
    """

    name: str
    image_px: int
    patch_px: int
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]]
    embed_dim: int
    pool: str = "token"


SMALL = (
    Known("vit_small_patch16_224.dino", 224, 16, IMAGENET, 384),
    Known("vit_small_patch14_reg4_dinov2.lvd142m", 518, 14, IMAGENET, 384),
    Known("vit_small_patch16_dinov3.lvd1689m", 256, 16, IMAGENET, 384),
)
BASE = (
    Known("vit_base_patch14_reg4_dinov2.lvd142m", 518, 14, IMAGENET, 768),
    Known("vit_base_patch16_dinov3.lvd1689m", 256, 16, IMAGENET, 768),
    Known("vit_base_patch16_siglip_224.v2_webli", 224, 16, HALVES, 768, "map"),
)
SIGLIP = BASE[-1]
DINOV2 = SMALL[1]
BASE_DEPTH = 2


def random_vit(known: Known, **arguments: object) -> torch.nn.Module:
    """timm's network with weights that let every block and position matter."""
    torch.manual_seed(0)
    vit = timm.create_model(known.name, num_classes=0, **arguments)
    for parameter in vit.parameters():  # layer scale begins at 1e-5, which would hide the blocks
        torch.nn.init.normal_(parameter, std=1.0 if parameter.ndim == 1 else 0.05)
    return vit


def write_weights(known: Known, path: Path, **arguments: object) -> None:
    """A file as timm's hub has it; with a card where the network is built with `arguments`."""
    card = json.dumps({"model": known.name, "model_arguments": arguments})
    save_file(
        random_vit(known, **arguments).state_dict(), path, {"card": card} if arguments else None
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Known], Path]:
    """The file of a network, written when it is first asked for."""
    folder = tmp_path_factory.mktemp("backbones")

    def of(known: Known) -> Path:
        path = folder / f"{known.name}.safetensors"
        if not path.exists():
            write_weights(known, path, **({} if known in SMALL else {"depth": BASE_DEPTH}))
        return path

    return of


def session_of(known: Known, path: Path, image_px: int, finetune: str = "head") -> VisionSession:
    """The network as ALFAMIX_BACKBONE and ALFAMIX_BACKBONE_WEIGHTS bring it in."""
    return open_session(
        Settings(
            backbone=known.name,
            backbone_weights=path,
            image_px=image_px,
            feature_blocks=2,
            finetune=finetune,
            device="cpu",
            epochs=1,
        )
    )


def timms_forward(
    known: Known, path: Path, pixels: torch.Tensor, **arguments: object
) -> torch.Tensor:
    """(B, C) by timm's own `forward`, its positions resampled here."""
    image_px = pixels.shape[-1]
    vit = timm.create_model(
        known.name, num_classes=0, img_size=image_px, global_pool=known.pool, **arguments
    )
    state = load_file(path)
    side = image_px // known.patch_px
    if "pos_embed" in state:
        state["pos_embed"] = resampled(state["pos_embed"], side)
    vit.load_state_dict(state)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in known.normalization)
    with torch.inference_mode():
        return vit.eval()((pixels / 255 - mean) / std)


def resampled(positions: torch.Tensor, side: int) -> torch.Tensor:
    """(1, X + side², C) of (1, X + n², C) positions; the X of CLS stay as they are."""
    own_side = int(positions.shape[1] ** 0.5)
    extra = positions.shape[1] - own_side**2
    prefix, grid = positions[:, :extra], positions[:, extra:]
    image = grid.reshape(1, own_side, own_side, -1).permute(0, 3, 1, 2)
    image = functional.interpolate(image, (side, side), mode="bicubic", antialias=True)
    return torch.cat([prefix, image.flatten(2).transpose(1, 2)], dim=1)


@pytest.mark.parametrize("known", [*SMALL, *BASE], ids=lambda known: known.name)
def test_preprocessing_is_the_networks_own(known: Known, weights: Callable[[Known], Path]) -> None:
    found = load_backbone(BackboneSpec(known.name, weights(known), feature_blocks=2)).preprocessing
    assert (found.mean, found.std) == known.normalization
    assert (found.image_px, found.interpolation) == (known.image_px, "bicubic")


@pytest.mark.parametrize("known", [*SMALL, *BASE], ids=lambda known: known.name)
def test_embedding_ends_with_timms_own_forward(
    known: Known, weights: Callable[[Known], Path]
) -> None:
    image_px, path = 8 * known.patch_px, weights(known)
    pixels = random_pixels(2, image_px)
    session = session_of(known, path, image_px)
    embeddings = session.embed_pixels(session.pretrained(), pixels)
    blocks = 1 if known is SIGLIP else 2
    assert embeddings.shape == (2, blocks * known.embed_dim)
    assert embeddings.std() > 0.5
    depth = {} if known in SMALL else {"depth": BASE_DEPTH}
    expected = timms_forward(known, path, pixels, **depth).numpy()
    np.testing.assert_allclose(embeddings[:, -known.embed_dim :], expected, atol=1e-3)


def test_positions_are_the_files_own_at_518_px(weights: Callable[[Known], Path]) -> None:
    path = weights(DINOV2)
    found = load_backbone(BackboneSpec(DINOV2.name, path)).stem.vit.pos_embed
    assert found.shape == (1, 37 * 37, 384)
    assert torch.equal(found, load_file(path)["pos_embed"])


def test_positions_of_518_px_are_resampled_to_224(weights: Callable[[Known], Path]) -> None:
    path = weights(DINOV2)
    found = load_backbone(BackboneSpec(DINOV2.name, path, image_px=224)).stem.vit.pos_embed
    torch.testing.assert_close(found, resampled(load_file(path)["pos_embed"], 16))


@pytest.mark.parametrize("known", [*SMALL, *BASE], ids=lambda known: known.name)
def test_fine_tuning_changes_the_last_block_and_nothing_before(
    known: Known, weights: Callable[[Known], Path]
) -> None:
    session = session_of(known, weights(known), 4 * known.patch_px, "blocks:1")
    pretrained = session.pretrained()
    before = {key: value.clone() for key, value in pretrained.split.trunk.state_dict().items()}
    keys, labels = image_keys(8), np.arange(8) % 2
    loader, stores = CountingLoader(), memory_stores()
    trained = session.train(
        LabeledImages(keys, labels), 2, 0, loader, stores, lambda done, total: None
    ).network
    assert trained.version != pretrained.version
    own = pretrained.tail.state_dict()
    same = [key for key, value in trained.tail.state_dict().items() if torch.equal(value, own[key])]
    assert same == []
    for key, value in trained.split.trunk.state_dict().items():
        assert torch.equal(value, before[key])
    embeddings = [
        session.embed_now(network, keys, loader).embeddings for network in (pretrained, trained)
    ]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


@pytest.mark.parametrize("known", [SMALL[2], SIGLIP], ids=lambda known: known.name)
def test_head_alone_leaves_the_embeddings_as_they_are(
    known: Known, weights: Callable[[Known], Path]
) -> None:
    session = session_of(known, weights(known), 4 * known.patch_px, "head")
    labeled = LabeledImages(image_keys(8), np.arange(8) % 2)
    stores = memory_stores()
    trained = session.train(labeled, 2, 0, CountingLoader(), stores, lambda done, total: None)
    assert trained.network.version == session.pretrained().version
    assert trained.head.weight.shape == (2, session.embedding_dim)
    assert not list(trained.network.tail.parameters())


@pytest.mark.soak
@pytest.mark.parametrize("known", BASE, ids=lambda known: known.name)
def test_embedding_ends_with_timms_own_forward_when_all_blocks_are_there(
    known: Known, tmp_path: Path
) -> None:
    path, pixels = tmp_path / "whole.safetensors", random_pixels(2, 224)
    write_weights(known, path)
    session = session_of(known, path, 224)
    embeddings = session.embed_pixels(session.pretrained(), pixels)
    expected = timms_forward(known, path, pixels).numpy()
    np.testing.assert_allclose(embeddings[:, -known.embed_dim :], expected, atol=1e-3)
