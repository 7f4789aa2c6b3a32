"""People at the queue: who is turned away, and who is served outside it.

`python -m benchmarks people` starts a Label Studio and, for each case, a project with a backend of
its own, all on this machine and in a temporary folder. Simulated people label as the page has them
work (each Submit opens and locks another task); some walk off, some skip everything, the backend or
Label Studio is restarted under them. It counts what they were served.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from backend.demo.weights import backbone_settings
from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.backend_process import ROOT
from backend.harness.crew import Crew
from backend.harness.dataset import Dataset, read_dataset, write_digits
from backend.harness.people import annotator_account
from backend.harness.person import Habits
from backend.harness.server import BINARY
from backend.harness.shift import Event
from backend.settings import PREFIX
from benchmarks.loop_stage import Site, Stage, running_site, running_stage
from benchmarks.timing import Goal, Report

SEED = 0
PEOPLE = 3
PASSWORD = "people-at-the-queue"
VERSION = re.compile(r"alfa-mix r\d+ · (\d+) labels")
NONE = Goal(0)
STALE_GOAL = Goal(10)


@dataclass(frozen=True)
class Case:
    """One thing that people do, or that happens to them, while others label on.

    work: lets the crew label for so many seconds.
    settings, project: what differs from the other cases.
    """

    name: str
    work: Callable[[Crew, Stage, float], None]
    settings: Mapping[str, str]
    project: Mapping[str, object]
    habits: Sequence[Habits] = ()


def walk_off(crew: Crew, stage: Stage, seconds: float) -> None:
    """One opens a task and goes home, the others go on."""
    crew.start()
    time.sleep(1.0)
    crew.people[0].leave()
    time.sleep(seconds)


def end_of_day(crew: Crew, stage: Stage, seconds: float) -> None:
    """All go home, each with a task open, and come back."""
    crew.start()
    time.sleep(seconds / 2)
    for person in crew.people:
        person.leave()
    time.sleep(seconds / 10)
    for person in crew.people:
        person.come()
    time.sleep(seconds / 2)


def work_on(crew: Crew, stage: Stage, seconds: float) -> None:
    """All label."""
    crew.start()
    time.sleep(seconds)


def restart_backend(crew: Crew, stage: Stage, seconds: float) -> None:
    """The backend ends and is started again in the middle of the work."""
    crew.start()
    time.sleep(seconds / 2)
    stage.restart()
    time.sleep(seconds / 2)


def cases(pause_s: float) -> list[Case]:
    """All cases."""
    habits = Habits(pause_s)
    skips = replace(habits, skip_share=1.0)
    return [
        Case("walk-off", walk_off, {}, {}),
        Case("end of day for all", end_of_day, {}, {}),
        Case("long fine-tuning (full)", work_on, {"ALFAMIX_FINETUNE": "full"}, {}),
        Case("blocks:2", work_on, {"ALFAMIX_FINETUNE": "blocks:2"}, {}),
        Case("overlap 2", work_on, {}, {"maximum_annotations": 2}),
        Case("one skips everything", work_on, {}, {}, (skips, habits, habits)),
        Case("backend restarted", restart_backend, {}, {}),
    ]


def main(argv: list[str]) -> int:
    """Measure, print each row as it comes, and keep the rows as JSON where asked to."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report(arguments.json)
    report.say(shlex.join(["python", "-m", "benchmarks", "people", *argv]))
    with tempfile.TemporaryDirectory(prefix="alfa-mix-people-") as folder:
        images = _images(arguments, Path(folder))
        settings = _settings(arguments)
        report.say(f"{os.cpu_count()} cores; {len(images.pool):,} images; {settings}")
        with running_site(arguments.label_studio, Path(folder) / "label-studio", images) as site:
            for case in cases(arguments.pause):
                if arguments.case is None or case.name in arguments.case:
                    _measure(report, site, Path(folder), case, settings, arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks people", description=__doc__)
    add = parser.add_argument
    add("--images", type=Path, help="folder of class folders; default: scikit-learn's digits")
    add("--pool", type=int, default=700, help="images of it (%(default)s)")
    add("--budget", type=int, default=30, help="labels a round (%(default)s)")
    add("--seconds", type=float, default=60.0, help="of labeling in each case (%(default)s)")
    add("--pause", type=float, default=0.8, help="mean seconds a label takes (%(default)s)")
    add("--case", action="append", help="repeatable; default: all")
    add("--json", type=Path, metavar="FILE", help="file for the rows (what, value, unit)")
    add(
        "--label-studio",
        type=Path,
        metavar="BINARY",
        default=Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-label-studio")) / BINARY,
        help="the program to start (%(default)s)",
    )
    return parser


def _images(arguments: argparse.Namespace, folder: Path) -> Dataset:
    root = arguments.images
    if root is None:
        root = folder / "images" / "digits"
        write_digits(root)
    images = read_dataset(root, random.Random(SEED))
    pool = {**images.pool, **images.held_out}
    chosen = random.Random(SEED).sample(sorted(pool), min(arguments.pool, len(pool)))
    return replace(images, pool={path: pool[path] for path in chosen}, held_out={})


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    chosen = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    chosen["ALFAMIX_BUDGET"] = str(arguments.budget)
    added, _line = backbone_settings({**os.environ, **chosen})
    return added | {"ALFAMIX_FINETUNE": "head"} | chosen


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
    with running_stage(site, place, {**settings, **case.settings}) as stage:
        if case.project:
            path = f"/api/projects/{stage.labeling.id}/"
            site.api.call("PATCH", path, json=dict(case.project))
        connected_at = stage.connect()
        first = stage.published(0)["last_round"]
        report.add(f"{name}: URL pasted to first queue", first["finished_at"] - connected_at, "s")
        with _crew(site, stage, case, arguments.pause) as crew:
            case.work(crew, stage, arguments.seconds)
            events = crew.stop()
        _rows(report, site, name, events, arguments.budget)
        rounds = stage.status()["last_round"]["number"]
        report.add(f"{name}: rounds", rounds, "rounds")


@contextmanager
def _crew(site: Site, stage: Stage, case: Case, pause_s: float) -> Iterator[Crew]:
    accounts = [annotator_account(site.api, number, PASSWORD) for number in range(1, PEOPLE + 1)]
    with ExitStack() as stack:
        apis = [stack.enter_context(_api(site, account.token)) for account in accounts]
        annotators = [Annotator(api, stage.labeling.id, site.true_class) for api in apis]
        habits = case.habits or (Habits(pause_s),) * PEOPLE
        yield stack.enter_context(Crew(annotators, habits, random.Random(SEED)))


@contextmanager
def _api(site: Site, token: str) -> Iterator[Api]:
    api = Api(site.server.url, token)
    try:
        yield api
    finally:
        api.close()


def _rows(report: Report, site: Site, name: str, events: Sequence[Event], budget: int) -> None:
    opened = [event for event in events if event.action == "open"]
    served = [event for event in opened if not event.is_turned_away]
    outside = [e for e in served if not is_of_the_queue(e) and not was_queued(site, e)]
    labels = sum(event.action == "submit" for event in events)
    report.add(f"{name}: labels", labels, "labels")
    report.add(f"{name}: turned away", len(opened) - len(served), "times", NONE)
    report.add(f"{name}: served outside the queue", len(outside), "tasks", NONE)
    report.add(f"{name}: stale labels", stale_percent(events, budget), "%", STALE_GOAL)
    waits = sorted(event.took_s for event in served)
    report.add(f"{name}: slowest answer to 'next task'", waits[-1], "s")


def is_of_the_queue(event: Event) -> bool:
    """Whether a served task came with a published prediction: a live one has score 1."""
    version = event.model_version or ""
    return VERSION.fullmatch(version) is not None and event.score != 1.0


def was_queued(site: Site, event: Event) -> bool:
    """Whether a task was published by an earlier round: somebody held it, or began it for two."""
    task = site.api.call("GET", f"/api/tasks/{event.task_id}/")
    versions = [prediction["model_version"] or "" for prediction in task["predictions"]]
    return any(map(VERSION.fullmatch, versions))


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
