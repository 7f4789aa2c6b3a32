"""The pre-trained ViT, built by timm and filled from the hub or a file.

Legend: B images, T tokens (CLS first, where there is one), C width of a token, px side of an image.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from timm.data import resolve_data_config
from timm.models.vision_transformer import Block

from backend.errors import WeightsError
from backend.vision.preprocessing import Preprocessing
from backend.vision.vit_checks import (
    REMEDIES,
    Vit,
    checked_feature_blocks,
    checked_image_px,
    create_vit,
    meta_vit,
    pools_by_attention,
)
from backend.vision.weights_file import WeightsCard, WeightsFile, read_weights
from backend.vision.weights_fit import vit_from_file

logger = logging.getLogger(__name__)
BUNDLED_NAME = "bundled"
BUNDLED_WEIGHTS = Path(__file__).parent / "bundled" / "fashion_mnist_vit.safetensors"
FINGERPRINT_LENGTH = 12
DEFAULT_FEATURE_BLOCKS = 4


@dataclass(frozen=True)
class BackboneSpec:
    """Which network to load.

    name: a timm name, `hf-hub:owner/model`, or `bundled`.
    weights: a file instead of the hub; None for the hub (or the bundled file).
    image_px: side of the square input; None for the weights' own.
    feature_blocks: the CLS tokens of the last so many blocks make the embedding; where attention
        pools instead (SigLIP), it is always the last one.
    """

    name: str
    weights: Path | None = None
    image_px: int | None = None
    feature_blocks: int = DEFAULT_FEATURE_BLOCKS


@dataclass(frozen=True)
class Backbone:
    """A loaded ViT in evaluation mode on the CPU, frozen, taken apart; its head is thrown away.

    stem: (B, 3, px, px) normalized float32 to (B, T, C) tokens; its position grid is resampled to
        the input size.
    blocks: tokens to tokens, called with `block_arguments`.
    norm: the final norm.
    pool: normed (B, T, C) tokens to (B, C), where no CLS token stands for the image; else None.
    block_arguments: what each block needs besides the tokens (DINOv3's rotary embedding).
    fingerprint: digest of weights, input and feature_blocks: equal means equal features.
    """

    name: str
    stem: Stem
    blocks: torch.nn.Sequential
    norm: torch.nn.Module
    pool: torch.nn.Module | None
    block_arguments: dict[str, torch.Tensor]
    preprocessing: Preprocessing
    feature_blocks: int
    fingerprint: str

    @property
    def embedding_dim(self) -> int:
        """D: what the feature blocks give, concatenated."""
        return self.feature_blocks * self.stem.embed_dim

    @property
    def version(self) -> str:
        """Readable and unique, fit for a folder name."""
        name = re.sub(r"[^A-Za-z0-9.]+", "_", self.name).strip("_.")
        return f"{name}-{self.preprocessing.image_px}px-{self.fingerprint}"


def load_backbone(spec: BackboneSpec) -> Backbone:
    """The network of `spec` with its pre-trained weights.

    Raises:
        WeightsError: the name is unknown or of no network that `meta_vit` takes, the hub is out of
            reach, or the weights file is missing, damaged or of another network.
        SettingsError: image_px or feature_blocks do not suit the network.
    """
    file = _weights_file(spec)
    card = None if file is None else file.card
    if card is not None:
        spec = _spec_of_card(spec, card)
    elif spec.name == BUNDLED_NAME:
        raise WeightsError(
            f"{spec.weights} carries no card; ALFAMIX_BACKBONE must name its timm model"
        )
    arguments = {} if card is None else card.model_arguments
    empty = meta_vit(spec.name, arguments)
    image_px = checked_image_px(spec.name, empty, spec.image_px)
    feature_blocks = checked_feature_blocks(spec.name, empty, spec.feature_blocks)
    arguments = {**arguments, "img_size": image_px, "num_classes": 0}
    if file is None:
        # set by timm; a Module types what it does not declare as a Tensor or a Module
        vit = _from_hub(spec.name, arguments, cast("Mapping[str, Any]", empty.pretrained_cfg))
    else:
        vit = vit_from_file(spec.name, arguments, file)
    preprocessing = _preprocessing(vit, image_px, card)
    fingerprint = _fingerprint(vit, preprocessing, feature_blocks)
    return _take_apart(vit, spec.name, preprocessing, feature_blocks, fingerprint)


def _weights_file(spec: BackboneSpec) -> WeightsFile | None:
    """The file that the weights come from; None for the hub."""
    if spec.weights is not None:
        return read_weights(spec.weights)
    return read_weights(BUNDLED_WEIGHTS) if spec.name == BUNDLED_NAME else None


def _spec_of_card(spec: BackboneSpec, card: WeightsCard) -> BackboneSpec:
    """The network of the card, which describes its own file, whatever ALFAMIX_BACKBONE says."""
    logger.info("the weights file's card says %s: ALFAMIX_BACKBONE is not used", card.model)
    return replace(spec, name=card.model, image_px=spec.image_px or card.image_px)


def _from_hub(name: str, arguments: Mapping[str, Any], configuration: Mapping[str, Any]) -> Vit:
    if not any(configuration.get(source) for source in ("hf_hub_id", "url", "file")):
        raise WeightsError(
            f"timm has no pre-trained weights for {name}; name a model that has some, such as "
            f"vit_small_patch16_224.dino, or set ALFAMIX_BACKBONE_WEIGHTS to a file"
        )
    try:
        return create_vit(name, pretrained=True, **arguments)
    except OSError as error:
        raise WeightsError(f"the weights of {name} cannot be had ({error}); {REMEDIES}") from error
    except RuntimeError as error:
        raise WeightsError(f"timm cannot load pre-trained weights for {name}: {error}") from error


def _preprocessing(vit: Vit, image_px: int, card: WeightsCard | None) -> Preprocessing:
    config = resolve_data_config(model=vit)
    return Preprocessing(
        image_px=image_px,
        mean=(card and card.mean) or tuple(config["mean"]),
        std=(card and card.std) or tuple(config["std"]),
        interpolation=(card and card.interpolation) or config["interpolation"],
    )


def _take_apart(
    vit: Vit, name: str, preprocessing: Preprocessing, feature_blocks: int, fingerprint: str
) -> Backbone:
    """The parts of `vit`: without blocks and norm, timm's own `forward_features` is the stem."""
    vit.eval().requires_grad_(False)
    blocks = torch.nn.Sequential(*vit.blocks)
    # models made for average pooling norm after it
    norm = vit.fc_norm if isinstance(vit.norm, torch.nn.Identity) else vit.norm
    vit.blocks, vit.norm, vit.fc_norm = torch.nn.Sequential(), torch.nn.Identity(), None
    rope = getattr(vit, "rope", None)
    arguments = {} if rope is None else {"rope": rope.get_embed(shape=vit.patch_embed.grid_size)}
    return Backbone(
        name=name,
        stem=Stem(vit).eval(),
        blocks=blocks.eval(),
        norm=norm,
        pool=_taken_pool(vit),
        block_arguments=arguments,
        preprocessing=preprocessing,
        feature_blocks=feature_blocks,
        fingerprint=fingerprint,
    )


def _taken_pool(vit: Vit) -> torch.nn.Module | None:
    """The attention that pools, no longer in `vit`; None where a CLS token stands for the image."""
    if not pools_by_attention(vit):
        return None
    pool = vit.attn_pool
    del vit.attn_pool
    return pool


class Stem(torch.nn.Module):
    """A ViT without blocks and norm: (B, 3, px, px) normalized pixels to (B, T, C) tokens."""

    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.vit = vit
        self.embed_dim = vit.embed_dim

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """timm's `forward_features` of what is left."""
        return self.vit.forward_features(pixels)


def _fingerprint(vit: Vit, preprocessing: Preprocessing, feature_blocks: int) -> str:
    """Digest of everything the features depend on.

    The position grid is left out: resampling may differ in the last bit between processors, and
    MODEL_DIR must survive a move to another machine. All other weights are the file's own.
    """
    digest = hashlib.blake2b(repr((preprocessing, feature_blocks)).encode())
    for key, tensor in sorted(vit.state_dict().items()):
        if key != "pos_embed":
            digest.update(key.encode())
            digest.update(tensor.float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:FINGERPRINT_LENGTH]


def last_block(
    block: torch.nn.Module, tokens: torch.Tensor, **arguments: torch.Tensor
) -> torch.Tensor:
    """The CLS token (B, C) that the network's last block makes of (B, T, C) tokens.

    Nobody sees what it makes of the others, so timm's plain block runs its MLP, two thirds of the
    work, on the CLS token alone.
    """
    if type(block) is not Block:
        return block(tokens, **arguments)[:, 0]
    attended = block.drop_path1(block.ls1(block.attn(block.norm1(tokens), **arguments)))
    cls = tokens[:, 0] + attended[:, 0]
    return cls + block.drop_path2(block.ls2(block.mlp(block.norm2(cls))))
