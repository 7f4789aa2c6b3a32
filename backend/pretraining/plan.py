"""The command's options turned into a run's settings, checked before any image is read."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.errors import PretrainingError
from backend.pretraining.config import Crops, DinoConfig
from backend.pretraining.options import TRAINING_HELP
from backend.vision.trainable import (
    Architecture,
    StartingPoint,
    build_vit,
    card_architecture,
    load_start,
    own_image_px,
)
from backend.vision.vit_checks import patch_px

SCRATCH, HUB = "scratch", "hub"
LOCAL_SHARE = 3 / 7  # DINO's 96 of 224


def plan(arguments: argparse.Namespace) -> DinoConfig:
    """The run's settings.

    Raises:
        PretrainingError: the model cannot be built or does not take crops of these sizes.
        WeightsError: --init names a file that cannot be read.
    """
    given = None if arguments.init in (SCRATCH, HUB) else card_architecture(Path(arguments.init))
    model = given.model if given else arguments.model
    image_px = arguments.image_px or (given and given.arguments.get("img_size"))
    image_px = image_px or own_image_px(model)
    architecture = Architecture(
        model,
        {
            **(given.arguments if given else {}),
            **_sizes(arguments),
            "img_size": image_px,
            "dynamic_img_size": True,
        },
    )
    return DinoConfig(
        model=architecture.model,
        model_arguments=dict(architecture.arguments),
        crops=_crops(arguments, image_px, patch_px(build_vit(architecture))),
        init=arguments.init,
        **{name: getattr(arguments, name) for name in TRAINING_HELP},
    )


def starting_point(config: DinoConfig) -> StartingPoint | None:
    """The weights that --init names, None for a start from scratch.

    Raises:
        WeightsError: they cannot be had or are of another network.
    """
    if config.init == SCRATCH:
        return None
    weights = None if config.init == HUB else Path(config.init)
    return load_start(config.model, weights, config.crops.global_px)


def _sizes(arguments: argparse.Namespace) -> dict[str, int]:
    named = {
        "patch_size": arguments.patch_px,
        "embed_dim": arguments.width,
        "depth": arguments.depth,
        "num_heads": arguments.heads,
    }
    return {name: size for name, size in named.items() if size is not None}


def _crops(arguments: argparse.Namespace, image_px: int, patch: int) -> Crops:
    nearest = max(1, round(image_px * LOCAL_SHARE / patch)) * patch
    crops = Crops(
        global_px=image_px,
        global_scale=tuple(arguments.global_scale),
        local_px=arguments.local_px or nearest,
        local_scale=tuple(arguments.local_scale),
        local_count=arguments.local_crops,
        jitter=arguments.jitter,
        gray=arguments.gray,
        blur=arguments.blur,
    )
    for option, px in (("--image-px", crops.global_px), ("--local-px", crops.local_px)):
        if px % patch:
            raise PretrainingError(
                f"{option} is {px}; needed is a multiple of the model's patch size {patch}"
            )
    return crops
