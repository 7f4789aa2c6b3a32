"""People at the queue: who is turned away, and who is served outside it.

`python -m benchmarks people` starts a Label Studio and, for each case, a project with a backend of
its own, all on this machine and in a temporary folder. Simulated people label as the page has them
work (each Submit opens and locks another task); some walk off, some skip everything, the backend or
Label Studio is restarted under them, or slow: see `people_cases`. It counts what they were served.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.crew import Crew
from backend.harness.dataset import Dataset
from backend.harness.people import annotator_account
from backend.harness.person import Habits
from backend.harness.proxy import Proxy
from backend.harness.served import served
from backend.harness.shift import Event
from benchmarks.loop_options import (
    environment_settings,
    heading,
    image_folder,
    measuring,
    site_arguments,
)
from benchmarks.loop_stage import Site, Stage, running_site, running_stage
from benchmarks.people_cases import Case, Scene, cases
from benchmarks.timing import Goal, Report

SEED = 0
# Label Studio signs up as many people side by side as it has the processors to hash passwords.
SIGN_UPS = 4
PASSWORD = "people-at-the-queue"
VERSION = re.compile(r"alfa-mix r\d+ · (\d+) labels")
NONE = Goal(0)
STALE_GOAL = Goal(10)


def main(argv: list[str]) -> int:
    """The exit status; each row is printed as it comes, and the rows kept as JSON where asked to.

    AlfaMixError: something that it needs is missing, wrong or ended.
    """
    arguments = _parser().parse_args(argv)
    with measuring("people", argv, arguments.json) as (report, folder):
        images = _some(image_folder(arguments, folder), arguments.pool)
        settings = {"ALFAMIX_FINETUNE": "head"} | environment_settings(
            {"ALFAMIX_BUDGET": str(arguments.budget)}
        )
        report.say(heading(images, settings))
        with running_site(arguments.label_studio, folder / "label-studio", images) as site:
            for case in cases(arguments.pause):
                if arguments.case is None or case.name in arguments.case:
                    _measure(report, site, folder, case, settings, arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks people", description=__doc__)
    site_arguments(parser)
    add = parser.add_argument
    add("--pool", type=int, default=700, help="images of it (%(default)s)")
    add("--budget", type=int, default=30, help="labels a round (%(default)s)")
    add("--seconds", type=float, default=60.0, help="of labeling in each case (%(default)s)")
    add("--pause", type=float, default=0.8, help="mean seconds a label takes (%(default)s)")
    add("--case", action="append", help="repeatable; default: all")
    return parser


def _some(images: Dataset, count: int) -> Dataset:
    chosen = random.Random(SEED).sample(sorted(images.pool), min(count, len(images.pool)))
    return replace(images, pool={path: images.pool[path] for path in chosen})


def _measure(
    report: Report,
    site: Site,
    folder: Path,
    case: Case,
    settings: Mapping[str, str],
    arguments: argparse.Namespace,
) -> None:
    name = case.name
    report.say(f"\n{name}")
    place = folder / re.sub(r"\W+", "-", name)
    with ExitStack() as stack:
        way = stack.enter_context(Proxy(site.server.url))
        url = way.url if case.is_proxied else None
        stage = stack.enter_context(running_stage(site, place, {**settings, **case.settings}, url))
        if case.project:
            stage.labeling.change(case.project)
        connected_at = stage.connect()
        first = stage.published(0)["last_round"]
        report.add(f"{name}: URL pasted to first queue", first["finished_at"] - connected_at, "s")
        crew = stack.enter_context(_crew(site, stage, case.habits))
        case.work(Scene(crew, stage, way, arguments.seconds))
        events = crew.stop()
        _rows(report, site, name, events, arguments.budget)
        rounds = stage.status()["last_round"]["number"]
        report.add(f"{name}: rounds", rounds, "rounds")


@contextmanager
def _crew(site: Site, stage: Stage, habits: Sequence[Habits]) -> Iterator[Crew]:
    with ThreadPoolExecutor(SIGN_UPS) as pool:
        numbers = range(1, len(habits) + 1)
        accounts = list(pool.map(lambda n: annotator_account(site.api, n, PASSWORD), numbers))
    with ExitStack() as stack:
        apis = [Api(site.server.url, account.token) for account in accounts]
        for api in apis:
            stack.callback(api.close)
        annotators = [Annotator(api, stage.labeling.id, site.true_class) for api in apis]
        yield stack.enter_context(Crew(annotators, habits, random.Random(SEED)))


def _rows(report: Report, site: Site, name: str, events: Sequence[Event], budget: int) -> None:
    labels = sum(event.action == "submit" for event in events)
    found = served(site.api, events)
    report.add(f"{name}: labels", labels, "labels")
    report.add(f"{name}: turned away", found.turned_away, "times", NONE)
    report.add(f"{name}: served outside the queue", found.outside, "tasks", NONE)
    report.add(f"{name}: stale labels", stale_percent(events, budget), "%", STALE_GOAL)
    waits_s = [event.took_s for event in events if event.action == "open"]
    report.add(f"{name}: slowest answer to 'next task'", max(waits_s), "s")


def stale_percent(events: Sequence[Event], budget: int) -> float:
    """Percent of the labels given under a network that lacked more than a batch of labels."""
    known: dict[int, int] = {}
    labeled: set[int] = set()
    labels = stale = 0
    for event in events:
        if event.task_id is None:
            continue
        if event.action == "open":
            match = VERSION.fullmatch(event.model_version or "")
            known[event.task_id] = int(match.group(1)) if match else 0
        elif event.action == "submit":
            stale += len(labeled) - known.get(event.task_id, 0) > budget
            labeled.add(event.task_id)
            labels += 1
    return 100 * stale / labels if labels else 0.0
