"""Replay the rounds on the labels that a project has: would a strategy have saved some of them?

The labels are hidden and revealed round by round, as each strategy asks for them, with the
backend's own settings from the environment. Only reads from Label Studio and leaves MODEL_DIR
alone; the running backend may go on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from backend.errors import AlfaMixError, BacktestError
from backend.process.interrupts import interrupt_once
from backend.settings import Settings
from model_store.project_folder import REPORT_NAME, ROWS_NAME

# What imports torch waits until a run starts: --help and mistakes are answered at once.
if TYPE_CHECKING:
    from backend.backtest.design import Design
    from backend.backtest.labels import LabeledProject
    from backend.backtest.results import Row
    from backend.label_studio.images import ImageFetcher

PROGRAM = "python -m backend backtest"
LEAST_SEEDS = 2  # an interval needs two
LEAST_ROUNDS = 1
SEEDS = 5
ROUNDS = 8
# While it runs, how many rows there will be: for whoever waits for them.
TOTAL_FILE = "rounds.total"
EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main(argv: list[str]) -> int:
    """Parse `argv` and run; an error raised on purpose becomes one line and exit code 1."""
    arguments = _parser().parse_args(argv)
    # Ended from outside it also takes its temporary folder with it.
    interrupt_once()
    try:
        run(arguments, Settings.from_environ())
    except AlfaMixError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print(f"\nstopped; the rows so far are in {ROWS_NAME} of --out", file=sys.stderr)
        return EXIT_INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    add = parser.add_argument
    add("--project", type=int, required=True, metavar="N", help="the project's id")
    add("--seeds", type=int, default=SEEDS, metavar="S", help="repetitions (%(default)s)")
    add(
        "--rounds",
        type=int,
        default=ROUNDS,
        metavar="R",
        help="most rounds after the first batch (%(default)s)",
    )
    add(
        "--strategies",
        default="",
        metavar="A,B",
        help="instead of the project's own, alfa-mix, margin and kmeans-centers; random is always "
        "replayed too",
    )
    add(
        "--without",
        action="append",
        default=[],
        metavar="CLASS",
        help="leave out a class that has too few labels; may be given repeatedly",
    )
    add(
        "--own-first-batch",
        action="store_true",
        help="let the cold start choose the first batch, as in the running project, instead of "
        "one random batch for all strategies",
    )
    add("--out", type=Path, help="folder for table, rows and pictures (backtest-N)")
    return parser


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Read, replay, report. BacktestError, and what Label Studio, weights and settings raise."""
    from backend.backtest.design import chosen_strategies
    from backend.backtest.labels import check_enough, read_labels
    from backend.label_studio.client import LabelStudioClient
    from backend.label_studio.images import ImageFetcher

    _check_range("--seeds", arguments.seeds, LEAST_SEEDS)
    _check_range("--rounds", arguments.rounds, LEAST_ROUNDS)
    asked = [name.strip() for name in arguments.strategies.split(",") if name.strip()]
    strategies = chosen_strategies(asked, settings.strategy)
    client = LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key)
    project = read_labels(client, arguments.project, arguments.without)
    check_enough(project)
    out = claim(arguments.out or Path(f"backtest-{arguments.project}"))
    fetcher = ImageFetcher(
        settings.label_studio_url, client.authorization, image_hosts=settings.image_hosts
    )
    try:
        _replay(arguments, settings, project, strategies, fetcher, out)
    finally:
        fetcher.close()


def _check_range(option: str, value: int, least: int) -> None:
    if value < least:
        raise BacktestError(f"{option} is {value}; needed is {least} or more")


def claim(out: Path) -> Path:
    """The folder for the results, made where it is missing.

    BacktestError: it cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ROWS_NAME).touch()
    except OSError as error:
        raise BacktestError(
            f"the results cannot be written to {out} ({error.strerror}); needed is another --out"
        ) from error
    return out


def _replay(
    arguments: argparse.Namespace,
    settings: Settings,
    project: LabeledProject,
    strategies: tuple[str, ...],
    fetcher: ImageFetcher,
    out: Path,
) -> None:
    import torch

    from backend.backtest.design import design
    from backend.backtest.images import kept_images
    from backend.backtest.labels import check_enough
    from backend.backtest.report import heading, left_out_lines
    from backend.backtest.results import written
    from backend.backtest.run import replayed, without_unreadable
    from backend.process.startup import open_session

    if settings.threads:
        torch.set_num_threads(settings.threads)
    session = open_session(settings)
    with kept_images(fetcher, project) as (load, stores):
        project = without_unreadable(project, session, load, stores)
        say(left_out_lines(project.left_out))
        check_enough(project)
        decided = design(
            project,
            settings,
            strategies,
            seed_count=arguments.seeds,
            most_rounds=arguments.rounds,
            shares_first=not arguments.own_first_batch,
        )
        say(heading(project, decided, settings))
        (out / TOTAL_FILE).write_text(f"{decided.total}\n", encoding="utf-8")
        found = replayed(project, decided, settings, session, load, stores)
        rows = list(written(found, out / ROWS_NAME))
    (out / TOTAL_FILE).unlink()
    _report(project, decided, settings, rows, out)


def _report(
    project: LabeledProject, design: Design, settings: Settings, rows: list[Row], out: Path
) -> None:
    """Print the tables and verdicts; write them, and the pictures, into `out`."""
    from backend.backtest.plot import write_plots
    from backend.backtest.report import heading, left_out_lines, plot_title, results
    from backend.backtest.results import curves_of

    curves = curves_of(rows)
    lines = list(results(curves, design))
    say(["", *lines])
    head = [*heading(project, design, settings), *left_out_lines(project.left_out)]
    (out / REPORT_NAME).write_text("\n".join([*head, "", *lines]) + "\n", encoding="utf-8")
    pictures = write_plots(curves, *plot_title(project, design), out)
    names = ", ".join([REPORT_NAME, ROWS_NAME, *(path.name for path in pictures)])
    say(["", f"wrote {names} into {out}"])


def say(lines: Iterable[str]) -> None:
    """Print lines at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)
