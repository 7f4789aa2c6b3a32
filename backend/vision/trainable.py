"""A whole ViT of timm's to go on training, and the weights that a run may start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch

from backend.errors import PretrainingError
from backend.vision.network import Backbone, BackboneSpec, load_backbone
from backend.vision.vit_checks import Vit, has_cls_token
from backend.vision.weights_file import read_weights


@dataclass(frozen=True)
class Architecture:
    """What builds the network: timm's name and its constructor's arguments."""

    model: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class StartingPoint:
    """Given weights under timm's names, and the mean and std of [0, 1] RGB they expect."""

    state: dict[str, torch.Tensor]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def build_vit(architecture: Architecture, **drop_rates: float) -> Vit:
    """timm's ViT without a classifier, random weights: (B, 3, P, P) images to (B, D) CLS tokens.

    Args:
        drop_rates: such as `drop_path_rate`; they bring no parameters of their own.

    Raises:
        PretrainingError: timm does not know the model or cannot build it so, or it is no ViT with
            a CLS token.
    """
    arguments = {**architecture.arguments, **drop_rates}
    try:
        vit = timm.create_model(architecture.model, pretrained=False, num_classes=0, **arguments)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise PretrainingError(
            f"timm cannot build {architecture.model} with {dict(architecture.arguments)}: {error}"
        ) from error
    if not has_cls_token(vit):
        raise PretrainingError(
            f"{architecture.model} is a {type(vit).__name__}; needed is a ViT with a CLS token, "
            "such as vit_small_patch16_224"
        )
    return vit


def own_image_px(model: str) -> int:
    """Side of the images that timm's model is made for.

    Raises:
        PretrainingError: timm does not know the model.
    """
    config = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if config is None:
        raise PretrainingError(
            f"timm {timm.__version__} knows no model {model!r}; needed is a ViT's name such as "
            "vit_small_patch16_224"
        )
    return config.input_size[-1]


def card_architecture(path: Path) -> Architecture | None:
    """The network that a weights file says it holds; None when it carries no card.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    card = read_weights(path).card
    if card is None:
        return None
    size = {} if card.image_px is None else {"img_size": card.image_px}
    return Architecture(card.model, {**size, **card.model_arguments})


def load_start(model: str, weights: Path | None, image_px: int) -> StartingPoint:
    """The weights of a file, or the hub's for None, with positions resampled to `image_px`.

    Raises:
        WeightsError: they cannot be had or are of another network.
        SettingsError: the network does not take images of this size.
    """
    loaded = load_backbone(BackboneSpec(model, weights, image_px, feature_blocks=1))
    return StartingPoint(_whole_state(loaded), loaded.preprocessing.mean, loaded.preprocessing.std)


def _whole_state(loaded: Backbone) -> dict[str, torch.Tensor]:
    """timm's own names for what `load_backbone` took apart."""
    parts = {"": loaded.stem.vit, "blocks.": loaded.blocks, "norm.": loaded.norm}
    return {
        prefix + name: tensor
        for prefix, part in parts.items()
        for name, tensor in part.state_dict().items()
    }
