"""What the benchmarks on a running Label Studio share: options, images, settings, first lines.

`loop` and `many` measure any network; `people` takes it from the environment.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from backend.demo.weights import backbone_settings
from backend.harness.backend_process import ROOT
from backend.harness.dataset import Dataset, read_dataset, write_digits
from backend.harness.server import BINARY
from backend.process.interrupts import interrupt_once
from backend.settings import PREFIX
from benchmarks.timing import Report

SPLIT_SEED = 0


def site_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the images, the program that labels them, and the file for the rows."""
    add = parser.add_argument
    add("--images", type=Path, help="folder of class folders; default: scikit-learn's digits")
    add("--json", type=Path, metavar="FILE", help="file for the rows (what, value, unit)")
    add(
        "--label-studio",
        type=Path,
        metavar="BINARY",
        default=Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-label-studio")) / BINARY,
        help="the program to start (%(default)s)",
    )


def shared_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the same, and the network."""
    site_arguments(parser)
    add = parser.add_argument
    add("--backbone", metavar="NAME", help="timm name; default: the demo's choice")
    add("--weights", type=Path, metavar="FILE", help="weights of the backbone")
    add("--image-px", type=int, metavar="N", help="side of the network's square input")


@contextmanager
def measuring(name: str, argv: list[str], json: Path | None) -> Iterator[tuple[Report, Path]]:
    """A report that has said the command, and a folder for as long as the context.

    Both, and the servers within, end with the command also when it is ended from outside.
    """
    interrupt_once()
    report = Report(json)
    report.say(shlex.join(["python", "-m", "benchmarks", name, *argv]))
    with tempfile.TemporaryDirectory(prefix=f"alfa-mix-{name}-") as folder:
        yield report, Path(folder)


def image_folder(arguments: argparse.Namespace, folder: Path) -> Dataset:
    """All images as the pool, in random order; nothing is held out."""
    root = arguments.images
    if root is None:
        root = folder / "images" / "digits"
        write_digits(root)
    images = read_dataset(root, random.Random(SPLIT_SEED))
    return replace(images, pool={**images.pool, **images.held_out}, held_out={})


def environment_settings(chosen: Mapping[str, str]) -> dict[str, str]:
    """The ALFAMIX_ settings: the chosen ones, else the environment's, else the demo's network."""
    found = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    named = {**found, **chosen}
    added, _line = backbone_settings({**os.environ, **named})
    return added | named


def network_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """The ALFAMIX_ settings with the network of the command line."""
    weights = arguments.weights and arguments.weights.absolute()
    given = {
        "ALFAMIX_BACKBONE": arguments.backbone,
        "ALFAMIX_BACKBONE_WEIGHTS": weights,
        "ALFAMIX_IMAGE_PX": arguments.image_px,
    }
    return environment_settings({name: str(value) for name, value in given.items() if value})


def heading(images: Dataset, settings: Mapping[str, str]) -> str:
    """What the numbers depend on: the machine, the images, the settings."""
    load = os.getloadavg()[0]
    words = [f"{name.removeprefix(PREFIX)}={value}" for name, value in settings.items()]
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, torch {torch.__version__}\n"
        f"{len(images.pool):,} images, {len(images.classes)} classes; {', '.join(words)}"
    )
