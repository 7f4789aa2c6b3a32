"""A project of very many tasks: how soon there is a queue, and whether it follows the labels.

`python -m benchmarks many` imports every image as several tasks, each an image of its own to the
backend, and labels a batch while the pool is still read and embedded; then again right after an
import into the running project.
"""

from __future__ import annotations

import argparse

from backend.harness import project
from benchmarks.loop_measures import FIRST_QUEUE_GOAL, round_rows
from benchmarks.loop_options import (
    heading,
    image_folder,
    measuring,
    network_settings,
    shared_arguments,
)
from benchmarks.loop_stage import Site, Stage, running_site, running_stage
from benchmarks.timing import Report, seconds_of

CHUNK = 5000
BATCH = 40
# Imported into the running project, as a share of its tasks.
GROWTH = 0.1


def main(argv: list[str]) -> int:
    """The exit status; each row is printed as it comes, and the rows kept as JSON where asked to.

    AlfaMixError: something that it needs is missing, wrong or ended.
    """
    arguments = _parser().parse_args(argv)
    with measuring("many", argv, arguments.json) as (report, folder):
        images = image_folder(arguments, folder)
        settings = {"ALFAMIX_FINETUNE": "head", "ALFAMIX_BUDGET": str(BATCH)}
        settings |= network_settings(arguments)
        report.say(heading(images, settings))
        with (
            running_site(arguments.label_studio, folder / "label-studio", images) as site,
            running_stage(site, folder / "many", settings) as stage,
        ):
            _measure(report, stage, arguments.tasks)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks many", description=__doc__)
    shared_arguments(parser)
    parser.add_argument("--tasks", type=int, default=100_000, help="in all (%(default)s)")
    return parser


def _measure(report: Report, stage: Stage, count: int) -> None:
    site, project_id = stage.labeling.site, stage.labeling.id
    present = len(site.images.pool)
    import_s = seconds_of(lambda: import_copies(site, project_id, present, count - present))
    report.add(f"{count - present:,} tasks imported by Label Studio", import_s, "s")
    pasted_at = stage.connect()
    first = stage.published(0)
    what = f"{count:,} tasks, first queue"
    round_rows(report, what, "URL pasted", pasted_at, first["last_round"], FIRST_QUEUE_GOAL)
    _batch(report, stage, "while the pool is read and embedded")
    added = round(count * GROWTH)
    import_copies(site, project_id, count, added)
    _batch(report, stage, f"right after {added:,} tasks more came")


def _batch(report: Report, stage: Stage, when: str) -> None:
    """Label a batch; from its last label to the next queue."""
    before = stage.with_batch(BATCH)
    labeled_at = stage.label_batch(before["batch"])
    flipped = stage.published_with(before["last_round"]["labels"] + len(before["batch"]))
    what = f"{flipped['last_round']['labels']} labels, {when}"
    round_rows(report, what, "last label sent", labeled_at, flipped["last_round"])
    report.add(f"{what}: images it chose from", flipped["last_round"]["pool"], "images")


def import_copies(site: Site, project_id: int, first: int, count: int) -> None:
    """Import so many tasks; the number behind each URI makes it an image of its own."""
    paths = list(site.images.pool)
    for start in range(first, first + count, CHUNK):
        numbers = range(start, min(start + CHUNK, first + count))
        urls = [project.image_url(site.images, paths[n % len(paths)]) for n in numbers]
        tasks = [
            {"data": {"image": f"{url}&copy={n}"}} for n, url in zip(numbers, urls, strict=True)
        ]
        site.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
