"""What are labels worth that are given while a round, or a network, is computed?

`python -m benchmarks timed-replay` replays projects under a simulated clock. It prints each run as
it ends, appends it to a file of rows, and ends with the tables. Stop it when you like: the same
command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from backend.acquisition import Rule
from backend.errors import AlfaMixError, SettingsError
from backend.settings import Settings
from benchmarks.timed.clock import timed_replay
from benchmarks.timed.desk import Desk
from benchmarks.timed.learner import Place, stage
from benchmarks.timed.rows import Row, append_rows, read_rows
from benchmarks.timed.settings import ALL, QUICK, Setting
from benchmarks.timed.tables import pooled_table, results_of, table

HERE = Path(__file__).parent
FIRST_SEEDS = 5


def main(argv: list[str]) -> int:
    """Run what the file lacks, then print the tables."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(1)  # equal rows on every machine, and other work goes on beside it
    threadpool_limits(1)
    settings = _settings(arguments)
    file = arguments.quick_rows if arguments.quick else arguments.rows
    if not arguments.no_runs:
        place = Place(arguments.data, arguments.features, arguments.weights)
        for setting, policy, seed in _missing(settings, read_rows(file)):
            _run(setting, policy, seed, place, file)
    rows = read_rows(file)
    _print_tables(settings, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


def _print_tables(settings: Sequence[Setting], rows: Sequence[Row]) -> None:
    """Print what the rows say of each setting, and of all lookaheads together."""
    every = [results_of(setting, rows) for setting in settings]
    for setting, found in zip(settings, every, strict=True):
        lines = [f"{setting.name}: too few runs", ""] if found is None else table(found)
        print("\n".join(lines), flush=True)
    print("\n".join(pooled_table([found for found in every if found is not None])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks timed-replay", description=__doc__)
    add = parser.add_argument
    results = HERE / "results"
    add("--quick", action="store_true", help="two small settings, under a minute")
    add("--setting", action="append", metavar="TEXT", help="settings whose names hold TEXT")
    add("--seeds", type=int, metavar="N", help="only the first N seeds of each setting")
    add("--no-runs", action="store_true", help="only print the tables of the rows there are")
    add("--rows", type=Path, default=results / "timed-replay.csv", help="the file of rows")
    add(
        "--quick-rows",
        type=Path,
        default=HERE / "features" / "timed-replay-quick.csv",
        help="that of --quick",
    )
    add("--json", type=Path, metavar="FILE", help="write all rows there too")
    add("--data", type=Path, default=Path("datasets"), help="folder of data sets (%(default)s)")
    add("--weights", type=Path, metavar="FILE", help="weights of the ViT-S, which do not ship")
    add("--features", type=Path, default=HERE / "features", help="cache of the ViT-S's features")
    return parser


def _settings(arguments: argparse.Namespace) -> list[Setting]:
    """The settings asked for. SettingsError: there is none, or no seed."""
    texts, seeds = arguments.setting, arguments.seeds
    known = QUICK if arguments.quick else ALL
    found = [one for one in known if texts is None or any(text in one.name for text in texts)]
    if not found:
        raise SettingsError(f"no setting's name holds {' or '.join(texts)}")
    if seeds is None:
        return found
    if seeds < 1:
        raise SettingsError(f"--seeds is {seeds}; needed is 1 or more")
    return [replace(one, seeds=min(seeds, one.seeds)) for one in found]


def _missing(
    settings: Sequence[Setting], rows: Sequence[Row]
) -> Iterator[tuple[Setting, str, int]]:
    """The runs that the rows lack: the first seeds of every setting before the others.

    Settings of the same images follow each other, seed by seed: what they share is computed once.
    """
    done = {(row.setting, row.policy, row.seed) for row in rows}
    runs = [
        (setting, policy, seed)
        for setting in settings
        for seed in range(setting.seeds)
        for policy in setting.policies
        if (setting.name, policy, seed) not in done
    ]
    data = list(dict.fromkeys((setting.data, setting.finetune) for setting in settings))
    runs.sort(
        key=lambda run: (run[2] >= FIRST_SEEDS, data.index((run[0].data, run[0].finetune)), run[2])
    )
    yield from runs


def _run(setting: Setting, policy: str, seed: int, place: Place, file: Path) -> None:
    """Replay one run and append its rows; a setting that cannot be run here is told and skipped."""
    try:
        networks, truth = stage(setting, seed, place)
    except AlfaMixError as error:
        print(f"not run: {setting.name}: {error}", file=sys.stderr, flush=True)
        return
    desk = Desk(networks, truth, Rule.of(Settings()), setting.budget, seed)
    points = timed_replay(desk, setting.policies[policy], setting.times, setting.measured)
    rows = [Row.of(setting.name, policy, seed, point) for point in points]
    append_rows(file, rows)
    last = rows[-1]
    print(
        f"{setting.name} | {policy} | seed {seed}: {100 * last.accuracy:.1f} % with "
        f"{last.n_labeled} labels, {last.n_stale} stale, {last.n_rounds} rounds, "
        f"{last.n_tunings} networks",
        flush=True,
    )
