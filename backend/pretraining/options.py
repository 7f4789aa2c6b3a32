"""The options of `python -m backend pretrain`; imports nothing slow, so that --help is quick."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from backend.pretraining.config import Crops, DinoConfig

Number = TypeVar("Number", int, float)

TRAINING_HELP = {
    "epochs": "passes over all images",
    "batch_size": "images of one step",
    "lr": "learning rate for a batch of 256; it follows the batch",
    "min_lr": "the same at the end",
    "warmup_epochs": "epochs of linear warm-up",
    "weight_decay": "weight decay at the start",
    "weight_decay_end": "weight decay at the end",
    "momentum": "the teacher's momentum at the start; it is 1 at the end",
    "student_temp": "temperature of the student's outputs",
    "teacher_temp": "temperature of the teacher's outputs",
    "center_momentum": "momentum of the center of the teacher's outputs",
    "freeze_last_layer_epochs": "epochs in which the head's last layer does not learn",
    "clip_grad": "largest norm of the gradient",
    "out_dim": "outputs of the head",
    "hidden_dim": "width of the head",
    "bottleneck_dim": "width before the head's last layer",
    "drop_path_rate": "share of the student's blocks dropped (stochastic depth)",
    "seed": "seed of weights, order and crops",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All options; the defaults of the training are DinoConfig's."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, help="folder of images, or an IDX file of images")
    source.add_argument("--project", type=int, help="id of a Label Studio project (see settings)")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    _network(parser.add_argument_group("network (the model's own where not given)"))
    _crops(parser.add_argument_group("crops"))
    _training(parser.add_argument_group("training"))
    _watching(parser.add_argument_group("watching"))


def _network(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", default=DinoConfig.model, help="a ViT of timm (%(default)s)")
    group.add_argument("--init", default=DinoConfig.init, help="scratch, hub or a weights file")
    group.add_argument("--image-px", type=_at_least(8), help="side of the global crops")
    group.add_argument("--patch-px", type=_at_least(1), help="side of the patches")
    group.add_argument("--width", type=_at_least(1), help="embedding dimension")
    group.add_argument("--depth", type=_at_least(1), help="number of blocks")
    group.add_argument("--heads", type=_at_least(1), help="attention heads")


def _crops(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--global-scale", type=_share, nargs=2, default=Crops.global_scale)
    group.add_argument("--local-px", type=_at_least(1), help="side of local crops (3/7 of global)")
    group.add_argument("--local-scale", type=_share, nargs=2, default=Crops.local_scale)
    group.add_argument("--local-crops", type=_at_least(0), default=Crops.local_count)
    group.add_argument("--jitter", type=_share, default=Crops.jitter, help="brightness, contrast")
    group.add_argument("--gray", type=_share, default=Crops.gray, help="share without color")
    group.add_argument("--blur", type=_share, default=Crops.blur, help="share of blurred views")


def _training(group: argparse._ArgumentGroup) -> None:
    for name, help_text in TRAINING_HELP.items():
        default = getattr(DinoConfig, name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=_not_negative(type(default)),
            default=default,
            help=f"{help_text} (%(default)s)",
        )


def _watching(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--knn-images",
        type=Path,
        help="labeled images to measure k-NN accuracy by: a folder of class folders or an IDX file",
    )
    group.add_argument("--knn-labels", type=Path, help="the IDX file of labels to --knn-images")
    group.add_argument("--knn-count", type=_at_least(4), default=10_000, help="most of them to use")
    group.add_argument("--knn-every-epochs", type=_at_least(1), default=1)
    group.add_argument("--checkpoint-every-s", type=float, default=300.0)
    group.add_argument("--threads", type=_at_least(1), help="processor threads (one per core)")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")


def _at_least(low: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} is too small; needed is {low} or more")
        return int(text)

    return whole_number


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share; needed is a number from 0 to 1")
    return float(text)


def _not_negative(kind: type[Number]) -> Callable[[str], Number]:
    def number(text: str) -> Number:
        if not 0 <= kind(text) < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is negative or infinite")
        return kind(text)

    return number
