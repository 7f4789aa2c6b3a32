"""Pre-train a ViT on images without labels (DINO) and write its weights with a card."""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import AlfaMixError, PretrainingError
from backend.pretraining.options import add_arguments

# torch and lightly are imported when a run starts: --help and mistakes are answered at once.
if TYPE_CHECKING:
    from backend.pretraining.config import DinoConfig
    from backend.pretraining.images import ImageSet
    from backend.pretraining.train import Pretrained

PROGRAM = "python -m backend pretrain"
MINIMUM_IMAGES = 500
SHOWN_SKIPPED = 10
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main(argv: list[str]) -> int:
    """The exit status: 0 done, 1 it failed (one line says why), 2 wrong usage, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        run(arguments, shlex.join([*PROGRAM.split(), *argv]))
    except AlfaMixError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from its last checkpoint", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def run(arguments: argparse.Namespace, command: str) -> None:
    """Read the images, train, write the weights and their card, remove the checkpoint."""
    require_lightly()
    import torch

    from backend.pretraining.plan import plan, starting_point
    from backend.pretraining.sources import read_sample
    from backend.pretraining.train import RunOptions, pretrain
    from backend.vision.device import resolve_device

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # the tails of the softmax: several times slower otherwise
    checkpoint_path = claim(arguments.out)
    config = plan(arguments)
    start = starting_point(config)
    side = config.crops.global_px
    sample = None
    if arguments.knn_images:
        sample = read_sample(arguments.knn_images, arguments.knn_labels, arguments.knn_count, side)
    options = RunOptions(
        checkpoint_path=checkpoint_path,
        checkpoint_every_s=arguments.checkpoint_every_s,
        knn_every_epochs=arguments.knn_every_epochs,
        device=resolve_device(arguments.device),
    )
    pixels = read_source(arguments, side).pixels
    result = pretrain(pixels, config, options, start, sample)
    write_result(arguments.out, config, len(pixels), result, command)
    checkpoint_path.unlink()


def require_lightly() -> None:
    """Check that lightly is installed.

    Raises:
        PretrainingError: it is not.
    """
    if importlib.util.find_spec("lightly") is None:
        raise PretrainingError(
            "lightly is not installed; needed is: pip install -r requirements-pretrain.txt"
        )


def claim(out: Path) -> Path:
    """Where the run that writes `out` keeps its checkpoint.

    Raises:
        PretrainingError: `out` is no place to write to or is there already.
    """
    if out.suffix != ".safetensors":
        raise PretrainingError(f"--out is {out}; needed is a name that ends in .safetensors")
    if not out.parent.is_dir():
        raise PretrainingError(f"--out is {out}; there is no folder {out.parent}")
    if out.exists():
        raise PretrainingError(f"{out} exists; name another --out or remove it")
    return out.with_name(out.name + ".run.pt")


def read_source(arguments: argparse.Namespace, image_px: int) -> ImageSet:
    """The images to train on; the unreadable ones are named on the error output.

    Raises:
        PretrainingError: fewer than 500 can be read.
    """
    from backend.pretraining.sources import read_path, read_project
    from backend.settings import Settings

    if arguments.project is None:
        images = read_path(arguments.images, image_px)
    else:
        images = read_project(Settings.from_environ(), arguments.project, image_px)
    tell_skipped(images)
    if len(images.pixels) < MINIMUM_IMAGES:
        raise PretrainingError(
            f"{len(images.pixels)} images can be read; pre-training needs {MINIMUM_IMAGES} or more"
        )
    return images


def tell_skipped(images: ImageSet) -> None:
    """Count the images left out and name the first ones with the reason."""
    if not images.skipped:
        return
    print(f"{len(images.skipped)} images cannot be read and are left out:", file=sys.stderr)
    for skipped in images.skipped[:SHOWN_SKIPPED]:
        print(f"  {skipped.name}: {skipped.reason}", file=sys.stderr)
    if len(images.skipped) > SHOWN_SKIPPED:
        print(f"  and {len(images.skipped) - SHOWN_SKIPPED} more", file=sys.stderr)


def write_result(
    out: Path, config: DinoConfig, image_count: int, result: Pretrained, command: str
) -> None:
    """Write the weights and the card."""
    from backend.pretraining.card import Card, write_weights

    card = Card(
        model=config.model,
        model_arguments=config.model_arguments,
        image_px=config.crops.global_px,
        mean=result.mean,
        std=result.std,
        image_count=image_count,
        epochs=config.epochs,
        seed=config.seed,
        init=config.init,
        command=command,
        settings=json.loads(json.dumps(asdict(config))),
        metrics=result.metrics,
    )
    write_weights(out, result.backbone, card)
    print(f"wrote {out}; the backend takes it with ALFAMIX_BACKBONE_WEIGHTS={out}")
