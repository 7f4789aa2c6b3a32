"""Faults on a running loop: what is lost, doubled or stuck, and how soon it goes on.

`python -m benchmarks soak` starts a Label Studio and backends of its own on this machine. People
label all the time while workers are killed in every phase, fifty rounds go by without a fault, and
processes, files, disk, Label Studio and requests fail one after the other. After each fault Label
Studio is asked what it holds. docs/faults.md tells what the table says. Linux; faults of the disk
as root.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx

from backend.errors import AlfaMixError, DemoError
from backend.harness.backend_process import ROOT
from backend.harness.disk import disk
from backend.harness.proxy import never
from backend.harness.server import BINARY
from benchmarks.faults import of_files, of_label_studio, of_processes, of_strangers
from benchmarks.faults.check import findings
from benchmarks.faults.fault import Fault
from benchmarks.faults.growth import grown
from benchmarks.faults.kills import PHASES, killed
from benchmarks.faults.lanes import side_by_side
from benchmarks.faults.loop import Lane, Loop, Site, running_lane, running_site
from benchmarks.faults.table import HEADING, Findings, Row, Table, Trial
from benchmarks.loop_options import measuring

KILLS = 200
ROUNDS = 50
LANES = 2
SEED = 0
# Images of a project; a new one takes its place when so few are left to label.
POOL, FEW = 300, 60
FAULTS = (
    *of_processes.FAULTS,
    *of_files.FAULTS,
    *of_label_studio.FAULTS,
    *of_strangers.FAULTS,
)


def main(argv: list[str]) -> int:
    """The exit status: 0 where nothing was lost, doubled or stuck, and nothing grew; else 1.

    AlfaMixError: something that it needs is missing, wrong or ended.
    """
    arguments = _parser().parse_args(argv)
    table = Table(arguments.json)
    with (
        measuring("soak", argv, None) as (_report, folder),
        running_site(arguments.label_studio, folder) as site,
    ):
        table.say(HEADING)
        _side_by_side(site, table, arguments)
        _one_by_one(site, table, arguments.only, arguments.seed)
    table.say(f"\n{table.markdown()}")
    return 0 if table.is_good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    add = parser.add_argument
    add("--json", type=Path, metavar="FILE", help="file for the rows")
    add("--kills", type=int, default=KILLS, help="of workers in all phases (%(default)s)")
    add("--rounds", type=int, default=ROUNDS, help="without a fault (%(default)s)")
    add("--seed", type=int, default=SEED, help="of all that is drawn (%(default)s)")
    add("--only", metavar="WORDS", action="append", help="faults with these words; repeatable")
    add(
        "--label-studio",
        type=Path,
        metavar="BINARY",
        default=Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-label-studio")) / BINARY,
        help="the program to start (%(default)s)",
    )
    return parser


def _side_by_side(site: Site, table: Table, arguments: argparse.Namespace) -> None:
    """Kills in every phase, and rounds without a fault: lanes that do not wait for each other."""
    work: list[Callable[[], None]] = []
    if arguments.kills:
        turns = -(-arguments.kills // len(PHASES))
        work.append(partial(_kill, site, table, turns, arguments.seed))
    if arguments.rounds:
        work.append(partial(grown, site, table, arguments.rounds))
    side_by_side(work)


def _kill(site: Site, table: Table, turns: int, seed: int) -> None:
    """Two lanes of kills; a row for each phase."""
    each = -(-turns // LANES)
    rngs = [random.Random(f"{seed} {number}") for number in range(LANES)]
    lanes = [partial(killed, site, f"kills{n}", each, rng) for n, rng in enumerate(rngs)]
    done = side_by_side(lanes)
    found = Findings.of([found for _, found in done])
    for phase in PHASES:
        trials = [trial for kills, _ in done for trial in kills.trials[phase]]
        tries = sum(kills.kills[phase] for kills, _ in done)
        table.add(Row.of(f"worker killed in {phase}", trials, found, tries), found)


def _one_by_one(site: Site, table: Table, only: Sequence[str] | None, seed: int) -> None:
    """All other faults, in one lane whose MODEL_DIR is on a disk of its own where that may be."""

    def is_wanted(fault: Fault) -> bool:
        return only is None or any(words in fault.name for words in only)

    with _lane(site, table) as (lane, faults):
        loop = Loop(lane, POOL)
        for number, fault in enumerate(filter(is_wanted, faults)):
            rng = random.Random(f"{seed} {number}")
            is_well = _inflicted(loop, fault, table, rng)
            if not is_well or loop.left() < FEW:
                loop.close()
                loop = Loop(lane, POOL)


def _inflicted(loop: Loop, fault: Fault, table: Table, rng: random.Random) -> bool:
    """Add the row of a fault; whether it could be inflicted, and the loop went on."""
    trials, found = [], Findings()
    try:
        for _ in range(fault.tries):
            loop.crew.start()
            fault.inflict(loop, rng)
            trials.append(loop.recovered())
        found = findings(loop)
    except (AlfaMixError, httpx.HTTPError) as error:
        table.say(f"    {fault.name}: {error}")
        trials.append(Trial(None))
        loop.lane.way.fails, loop.lane.way.delay_s = never, 0.0
    row = Row.of(fault.name, trials, found)
    table.add(row, found)
    return not row.stuck


@contextmanager
def _lane(site: Site, table: Table) -> Iterator[tuple[Lane, Sequence[Fault]]]:
    """A lane, and the faults that can be inflicted on it."""
    faults, model_dir = FAULTS, None
    with ExitStack() as stack:
        try:
            own = stack.enter_context(disk(site.folder))
        except DemoError as error:
            table.say(f"    left out, faults of the disk: {error}")
        else:
            faults, model_dir = (*FAULTS, *of_files.of_disk(own)), own.path / "data"
        yield stack.enter_context(running_lane(site, "faults", {}, model_dir=model_dir)), faults
