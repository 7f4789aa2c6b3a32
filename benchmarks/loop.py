"""The whole loop on a running Label Studio: who waits how long, and for what.

`python -m benchmarks loop` starts a Label Studio and, for each --finetune, a backend, both on this
machine and in a temporary folder, and measures: images embedded per second beside the bare
network's, the steps from the last label of a batch to the flipped queue, the backend's answers
while a round trains, and a Submit in Label Studio with and without a backend.
"""

from __future__ import annotations

import argparse
import os
import random
import shlex
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from backend.demo.weights import backbone_settings
from backend.harness.backend_process import ROOT
from backend.harness.dataset import Dataset, read_dataset, write_digits
from backend.harness.server import BINARY
from backend.settings import PREFIX, Settings
from benchmarks.loop_measures import Submitter, answers, embedding_speed, steps, submits
from benchmarks.loop_stage import LabelingProject, running_site, running_stage
from benchmarks.timing import Report

SPLIT_SEED = 0
# Between two Submits at rest, as between a person's: by then the backend has looked at the last.
PAUSE_S = 1.0
QUICK_IMAGES_A_CLASS = 20
QUICK_LABELS_A_CLASS = 2
QUICK_SAMPLES = 5
DEFAULT_FINETUNE = ("head", "blocks:2")


def main(argv: list[str]) -> int:
    """The exit status; each row is printed as it comes, and the rows kept as JSON where asked to.

    AlfaMixError: something that it needs is missing, wrong or ended.
    """
    arguments = _parser().parse_args(argv)
    # The temporary folder and the servers end with the command, also when it is ended from outside.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report(arguments.json)
    report.say(shlex.join(["python", "-m", "benchmarks", "loop", *argv]))
    with tempfile.TemporaryDirectory(prefix="alfa-mix-loop-") as folder:
        _measure(report, arguments, Path(folder))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop", description=__doc__)
    add = parser.add_argument
    add("--images", type=Path, help="folder of class folders; default: scikit-learn's digits")
    add("--backbone", metavar="NAME", help="timm name; default: the demo's choice")
    add("--weights", type=Path, metavar="FILE", help="weights of the backbone")
    add("--image-px", type=int, metavar="N", help="side of the network's square input")
    add("--finetune", action="append", help="repeatable; default: head and blocks:2")
    add("--requests", type=int, metavar="N", help="samples of each answer, default 200")
    add("--submits", type=int, metavar="N", help="samples of each kind of Submit, default 60")
    add("--quick", action="store_true", help="few images and samples: does it work at all?")
    add("--json", type=Path, metavar="FILE", help="file for the rows (what, value, unit)")
    add(
        "--label-studio",
        type=Path,
        metavar="BINARY",
        default=Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-label-studio")) / BINARY,
        help="the program to start (%(default)s)",
    )
    return parser


def _measure(report: Report, arguments: argparse.Namespace, folder: Path) -> None:
    images = _images(arguments, folder)
    settings = _settings(arguments, images)
    variants = {
        finetune: settings | {"ALFAMIX_FINETUNE": finetune}
        for finetune in arguments.finetune or DEFAULT_FINETUNE
    }
    for variant in variants.values():
        # What is wrong with a setting is said now, not when its turn comes.
        Settings.from_environ(variant)
    samples = Samples.of(arguments)
    report.say(_heading(images, settings))
    embedding_speed(report, images, settings)
    report.say("\nLabel Studio starts")
    with running_site(arguments.label_studio, folder / "label-studio", images) as site:
        bare = Submitter(LabelingProject(site, "Without a backend"))
        for finetune, variant in variants.items():
            report.say(f"\n{finetune}: a backend of its own, {len(images.pool):,} tasks")
            with running_stage(site, folder / finetune.replace(":", "-"), variant) as stage:
                steps(report, stage, finetune)
                answers(report, stage, finetune, samples.requests)
                submits(report, stage, bare, finetune, samples.submits, samples.pause_s)


def _images(arguments: argparse.Namespace, folder: Path) -> Dataset:
    """All images as the pool; nothing is held out."""
    root = arguments.images
    if root is None:
        root = folder / "images" / "digits"
        write_digits(root)
    images = read_dataset(root, random.Random(SPLIT_SEED))
    pool = {**images.pool, **images.held_out}
    if arguments.quick:
        # Their order is random: all classes are among the first.
        pool = dict(islice(pool.items(), QUICK_IMAGES_A_CLASS * len(images.classes)))
    return replace(images, pool=pool, held_out={})


def _settings(arguments: argparse.Namespace, images: Dataset) -> dict[str, str]:
    """The ALFAMIX_ settings: the environment's, the command line's, for the rest the demo's."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    if arguments.backbone:
        chosen["ALFAMIX_BACKBONE"] = arguments.backbone
    if arguments.weights:
        chosen["ALFAMIX_BACKBONE_WEIGHTS"] = str(arguments.weights.absolute())
    if arguments.image_px:
        chosen["ALFAMIX_IMAGE_PX"] = str(arguments.image_px)
    if arguments.quick:
        chosen["ALFAMIX_BUDGET"] = str(QUICK_LABELS_A_CLASS * len(images.classes))
    # A round begins with the last label of its batch, so that what it takes can be measured.
    chosen.setdefault("ALFAMIX_LOOKAHEAD", "1")
    added, _line = backbone_settings({**os.environ, **chosen})
    return added | chosen


@dataclass(frozen=True)
class Samples:
    """How many samples are taken of each answer and of each kind of Submit."""

    requests: int
    submits: int
    pause_s: float

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Samples:
        """Those of the command line; --quick is content with few."""
        requests, submits, pause_s = 200, 60, PAUSE_S
        if arguments.quick:
            requests, submits, pause_s = QUICK_SAMPLES, QUICK_SAMPLES, 0.0
        return cls(arguments.requests or requests, arguments.submits or submits, pause_s)


def _heading(images: Dataset, settings: Mapping[str, str]) -> str:
    """What the numbers depend on: the machine, the images, the settings."""
    load = os.getloadavg()[0]
    words = [f"{name.removeprefix(PREFIX)}={value}" for name, value in settings.items()]
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, torch {torch.__version__}\n"
        f"{len(images.pool):,} images, {len(images.classes)} classes; {', '.join(words)}"
    )
