"""The whole loop on a running Label Studio: who waits how long, and for what.

`python -m benchmarks loop` starts a Label Studio and, for each --finetune, a backend, both on this
machine and in a temporary folder, and measures: images embedded per second beside the bare
network's, the steps from the last label of a batch to the flipped queue, the backend's answers
while a round trains, and a Submit in Label Studio with and without a backend.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from backend.harness.dataset import Dataset
from backend.loop.background import HEAD_ONLY
from backend.settings import Settings
from benchmarks.loop_measures import Submitter, answers, embedding_speed, steps, submits
from benchmarks.loop_options import (
    heading,
    image_folder,
    measuring,
    network_settings,
    shared_arguments,
)
from benchmarks.loop_stage import LabelingProject, running_site, running_stage
from benchmarks.timing import Report

# Between two Submits, as between a person's: by then the backend has looked at the last.
PAUSE_S = 0.5
QUICK_IMAGES_A_CLASS = 20
QUICK_LABELS_A_CLASS = 2
QUICK_SAMPLES = 5
DEFAULT_FINETUNE = ("head", "blocks:2")


def main(argv: list[str]) -> int:
    """The exit status; each row is printed as it comes, and the rows kept as JSON where asked to.

    AlfaMixError: something that it needs is missing, wrong or ended.
    """
    arguments = _parser().parse_args(argv)
    with measuring("loop", argv, arguments.json) as (report, folder):
        _measure(report, arguments, folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop", description=__doc__)
    shared_arguments(parser)
    add = parser.add_argument
    add("--finetune", action="append", help="repeatable; default: head and blocks:2")
    add("--requests", type=int, metavar="N", help="samples of each answer, default 200")
    add("--submits", type=int, metavar="N", help="samples of each kind of Submit, default 60")
    add("--quick", action="store_true", help="few images and samples: does it work at all?")
    return parser


def _measure(report: Report, arguments: argparse.Namespace, folder: Path) -> None:
    images = image_folder(arguments, folder)
    if arguments.quick:
        images = _few(images)
    settings = _settings(arguments, images)
    variants = {
        finetune: settings | {"ALFAMIX_FINETUNE": finetune}
        for finetune in arguments.finetune or DEFAULT_FINETUNE
    }
    for variant in variants.values():
        # What is wrong with a setting is said now, not when its turn comes.
        Settings.from_environ(variant)
    samples = Samples.of(arguments)
    report.say(heading(images, settings))
    embedding_speed(report, images, settings)
    report.say("\nLabel Studio starts")
    with running_site(arguments.label_studio, folder / "label-studio", images) as site:
        bare = Submitter(LabelingProject(site, "Without a backend"))
        for finetune, variant in variants.items():
            report.say(f"\n{finetune}: a backend of its own, {len(images.pool):,} tasks")
            with running_stage(site, folder / finetune.replace(":", "-"), variant) as stage:
                steps(report, stage, finetune)
                if finetune != HEAD_ONLY:
                    answers(report, stage, finetune, samples.requests)
                submits(report, stage, bare, finetune, samples.submits, samples.pause_s)


def _few(images: Dataset) -> Dataset:
    """Some images of each class: their order is random, all classes are among the first."""
    few = islice(images.pool.items(), QUICK_IMAGES_A_CLASS * len(images.classes))
    return replace(images, pool=dict(few))


def _settings(arguments: argparse.Namespace, images: Dataset) -> dict[str, str]:
    """The ALFAMIX_ settings: the environment's, the command line's, for the rest the demo's."""
    settings = network_settings(arguments)
    if arguments.quick:
        settings["ALFAMIX_BUDGET"] = str(QUICK_LABELS_A_CLASS * len(images.classes))
    # A round begins with the last label of its batch, so that what it takes can be measured.
    return {"ALFAMIX_LOOKAHEAD": "1"} | settings


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
