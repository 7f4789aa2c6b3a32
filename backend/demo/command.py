"""`python -m backend demo`: Label Studio, the backend and a sample project, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import random
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from backend.demo.bring_up import Demo, DemoOptions, running_demo
from backend.demo.rounds_report import RoundsReport
from backend.demo.state import BACKEND_PORT, LABEL_STUDIO_PORT
from backend.errors import AlfaMixError
from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.crew import Crew
from backend.harness.people import annotator_account
from backend.harness.person import Habits
from backend.harness.served import served
from backend.process.interrupts import interrupt_once

LABEL_STUDIO_VENV = ".venv-label-studio"
# What a simulated annotator takes for a label: slow enough to watch.
PAUSE_S = 1.0
SEED = 0
READY = """
  Label Studio  {url}
  user          {email}
  password      {password}
  backend       {backend}/

Sign in, press "Label All Tasks", and label; the queue follows. Ctrl-C ends everything but the
folder {folder}, where the next start goes on.
"""


def main(argv: list[str]) -> int:
    """The exit status of the demo: it runs until Ctrl-C, or with --exit until the rounds are done.

    0: done. 1: it failed, or was ended before --exit would have ended it. 2: wrong usage.
    """
    arguments = _parser().parse_args(argv)
    # A shell that starts something in the background has it ignore SIGINT.
    interrupt_once()
    try:
        with running_demo(_options(arguments), os.environ, _say) as demo:
            _introduce(demo, open_browser=arguments.browser and sys.stdout.isatty())
            _run_rounds(demo, arguments)
    except KeyboardInterrupt:
        _say(f"\nEnded; {arguments.folder} stays.")
        return 1 if arguments.exit else 0
    except AlfaMixError as error:
        print(f"python -m backend demo: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend demo", description=__doc__)
    add = parser.add_argument
    add("--folder", type=Path, default=Path("demo"), help="everything the demo keeps (%(default)s)")
    add(
        "--dataset",
        type=Path,
        default=os.environ.get("DATASET") or None,
        help="folder of class folders with images; default: $DATASET, else scikit-learn's digits",
    )
    add("--annotate", type=int, default=0, metavar="N", help="let N simulated annotators label")
    add("--rounds", type=int, default=5, metavar="R", help="they go after so many (%(default)s)")
    add("--exit", action="store_true", help="end after these rounds instead of at Ctrl-C")
    add("--no-browser", dest="browser", action="store_false", help="open no browser window")
    add("--port", type=int, help=f"Label Studio's port ({LABEL_STUDIO_PORT}, or a free one)")
    add("--backend-port", type=int, help=f"the backend's port ({BACKEND_PORT}, or a free one)")
    add(
        "--label-studio-venv",
        type=Path,
        default=Path(os.environ.get("LABEL_STUDIO_VENV", LABEL_STUDIO_VENV)),
        help="virtual environment that Label Studio is installed in (%(default)s)",
    )
    return parser


def _options(arguments: argparse.Namespace) -> DemoOptions:
    return DemoOptions(
        folder=arguments.folder,
        dataset=arguments.dataset,
        label_studio_venv=arguments.label_studio_venv,
        label_studio_port=arguments.port,
        backend_port=arguments.backend_port,
    )


def _introduce(demo: Demo, *, open_browser: bool) -> None:
    admin = demo.label_studio.admin
    _say(
        READY.format(
            url=demo.project_url,
            email=admin.email,
            password=admin.password,
            backend=demo.backend.url,
            folder=demo.folder.path,
        )
    )
    has_screen = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    if open_browser and has_screen:
        webbrowser.open(demo.project_url)


def _run_rounds(demo: Demo, arguments: argparse.Namespace) -> None:
    """Print a line per round; with --annotate people label until so many followed the first."""
    report = RoundsReport(demo.backend, demo.project_id, demo.held_out)
    status = report.next_round(None, demo.check)
    with _crew(demo, arguments.annotate) as crew:

        def check() -> None:
            demo.check()
            crew.check()

        told = _Served(demo, crew)
        rounds_left = arguments.rounds if crew.people else 0
        if rounds_left > 0:
            crew.start()
        while rounds_left > 0 and not (status.pool_is_empty and arguments.exit):
            status = report.next_round(status, check, told.since_last_time)
            rounds_left -= 1
            _let_one_leave(crew)
    while not arguments.exit:
        status = report.next_round(status, demo.check)


class _Served:
    """Tells what the crew was served, a round at a time."""

    def __init__(self, demo: Demo, crew: Crew) -> None:
        self._demo = demo
        self._crew = crew
        self._told = 0

    def since_last_time(self) -> str:
        """Where the tasks came from since this was asked before; "" where there are no people."""
        events = self._crew.events
        new, self._told = events[self._told :], len(events)
        return str(served(self._demo.api, new)) if events else ""


def _let_one_leave(crew: Crew) -> None:
    """Of three or more, one walks off with a task open, as somebody does every evening."""
    if len(crew.people) >= 3 and not crew.people[-1].is_gone(0):
        crew.people[-1].leave()
        _say(f"  {crew.people[-1].name} went home with a task open")


@contextmanager
def _crew(demo: Demo, count: int) -> Iterator[Crew]:
    """So many people who label the demo's images; leaving the context sends them home."""
    password = demo.label_studio.admin.password
    accounts = [annotator_account(demo.api, number + 1, password) for number in range(count)]
    with ExitStack() as opened:
        apis = [Api(demo.label_studio.url, account.token) for account in accounts]
        for api in apis:
            opened.callback(api.close)
        annotators = [Annotator(api, demo.project_id, demo.true_class) for api in apis]
        yield opened.enter_context(Crew(annotators, Habits(PAUSE_S), random.Random(SEED)))


def _say(line: str) -> None:
    print(line, flush=True)
