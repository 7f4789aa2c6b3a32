"""Does it save labels? The paper's comparison, on data within reach.

`python -m benchmarks learning-curves` computes what its file of rows lacks, then draws the curves
and the penalty matrices and writes the page. Stop it when you like: the same command goes on.
Without --setting it runs all settings that can be run here; --data-set makes one of your own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.acquisition import strategy_names
from backend.errors import AlfaMixError, SettingsError
from backend.process.interrupts import interrupt_once
from backend.vision import ADAM
from backend.vision.heads import AUTO, KINDS
from benchmarks.curves.bench import Place, check
from benchmarks.curves.data import Data, DataError
from benchmarks.curves.oracle import ORACLE
from benchmarks.curves.page import Examples, Origin
from benchmarks.curves.report import write_report
from benchmarks.curves.runs import FIRST_SEEDS, execute, missing
from benchmarks.curves.settings import ALL, INITIALIZATIONS, SLOW, Setting
from benchmarks.curves.tables import RANDOM

RESULTS = Path(__file__).parent / "results"
FEATURES = Path(__file__).parent / "features"
HEADS = (AUTO, *KINDS, ADAM)


def main(argv: list[str]) -> int:
    """Run, draw, write; 1 where nothing could be run."""
    arguments = _parser().parse_args(argv)
    # Its processes end with the command, also when it is ended from outside.
    # SIGINT, because a shell ignores it for what it starts in the background.
    interrupt_once()
    try:
        return _run(arguments)
    except AlfaMixError as error:
        print(f"python -m benchmarks learning-curves: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nEnded early; the same command goes on.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks learning-curves", description=__doc__
    )
    add = parser.add_argument
    add("--list", action="store_true", help="name the settings and end")
    add("--setting", action="append", metavar="TEXT", help="settings whose names hold TEXT")
    add("--strategies", nargs="+", metavar="NAME", help=f"only these, and random; also {ORACLE}")
    add("--quick", action="store_true", help="about two hours: the part that most is read from")
    add("--head", choices=HEADS, default=AUTO, help="how heads are fitted (%(default)s)")
    add("--seeds", type=int, metavar="N", help="only the first N seeds of each setting")
    add("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (%(default)s)")
    add("--data", type=Path, default=Path("datasets"), help="folder of data sets (%(default)s)")
    add("--weights", type=Path, metavar="FILE", help="weights of the ViTs that do not ship")
    add("--out", type=Path, default=RESULTS, metavar="FOLDER", help="for rows, pictures and page")
    add("--features", type=Path, default=FEATURES, help="cache of ViT features (%(default)s)")
    add("--no-runs", action="store_true", help="only draw and write what the rows say")
    own = parser.add_argument_group("a setting of your own")
    own.add_argument("--data-set", metavar="NAME", help="name, class folders, or FILE.csv:COLUMN")
    own.add_argument("--network", default="head", help="mlp, resnet18, densenet121, head, ...")
    own.add_argument("--initialization", choices=INITIALIZATIONS, default="pretrained")
    own.add_argument("--backbone", default="bundled", help="timm name that --weights belongs to")
    own.add_argument("--image-px", type=int)
    own.add_argument("--per-class", type=int, default=5, help="labels a round, per class")
    own.add_argument("--rounds", type=int, default=8)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    if arguments.list:
        print("\n".join(setting.name for setting in settings))
        return 0
    place = Place(arguments.data, arguments.features, arguments.weights)
    file = arguments.out / "rows.csv"
    used, not_run = _checked(settings, place)
    if not arguments.no_runs:
        if not used:
            raise SettingsError("; ".join(f"{name}: {why}" for name, why in not_run.items()))
        runs = missing(list(used), _strategies(arguments), file)
        print(f"{len(used)} settings, {len(runs)} runs to do", flush=True)
        execute(runs, place, file, arguments.jobs)
    of_data = {setting.data: examples for setting, examples in used.items()}
    known = list(dict.fromkeys([*settings, *ALL]))
    write_report(arguments.out, Origin(_command(arguments), known, of_data, not_run))
    return 0


def _strategies(arguments: argparse.Namespace) -> list[str] | None:
    """Those asked for, and random, which they are compared with; None for all."""
    asked = arguments.strategies
    if asked is None and arguments.quick:
        asked = [name for name in strategy_names() if name not in SLOW]
    return None if asked is None else [*asked, RANDOM]


def _command(arguments: argparse.Namespace) -> str:
    """The command for the page: what decides the rows, without the paths of this machine."""
    parts = ["python -m benchmarks learning-curves"]
    if arguments.data_set:
        own = Path(arguments.data_set).name
        parts.append(f"--data-set {own} --network {arguments.network}")
    if arguments.head != AUTO:
        parts.append(f"--head {arguments.head}")
    if arguments.weights:
        parts.append("--data FOLDER --weights FILE")
    return " ".join(parts)


def _settings(arguments: argparse.Namespace) -> Sequence[Setting]:
    """The settings that the command line names. SettingsError: it names none, or nonsense."""
    known = (*strategy_names(), ORACLE)
    unknown = sorted(set(arguments.strategies or ()) - set(known))
    if unknown:
        raise SettingsError(
            f"unknown strategies {', '.join(unknown)}; known are {', '.join(known)}"
        )
    for name in ("seeds", "jobs", "per_class", "rounds"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise SettingsError(f"--{name.replace('_', '-')} is {value}; needed is 1 or more")
    chosen = [_own(arguments)] if arguments.data_set else _named(arguments.setting)
    chosen = [setting.with_head(arguments.head) for setting in chosen]
    if arguments.quick:
        chosen = [_with_seeds(setting, FIRST_SEEDS) for setting in chosen if not setting.is_slow]
    if arguments.seeds is None:
        return chosen
    return [_with_seeds(setting, arguments.seeds) for setting in chosen]


def _named(texts: Sequence[str] | None) -> list[Setting]:
    found = [s for s in ALL if texts is None or any(text in s.name for text in texts)]
    if not found:
        raise SettingsError(f"no setting's name holds {' or '.join(texts)}; --list names them")
    return found


def _own(arguments: argparse.Namespace) -> Setting:
    return Setting(
        _own_name(arguments),
        arguments.data_set,
        arguments.network,
        arguments.initialization,
        arguments.per_class,
        arguments.rounds,
        backbone=arguments.backbone,
        image_px=arguments.image_px,
    )


def _own_name(arguments: argparse.Namespace) -> str:
    """Whatever decides the rows: they are found again by it."""
    network = f"{arguments.network} {arguments.initialization}"
    if arguments.backbone != "bundled":
        network += f" {arguments.backbone}"
    if arguments.image_px is not None:
        network += f" {arguments.image_px} px"
    rounds = f"{arguments.rounds} rounds of {arguments.per_class} a class"
    return f"{Path(arguments.data_set).name}, {network}, {rounds}"


def _with_seeds(setting: Setting, seeds: int) -> Setting:
    return replace(setting, seeds=min(seeds, setting.seeds))


def _checked(
    settings: Sequence[Setting], place: Place
) -> tuple[dict[Setting, Examples], dict[str, str]]:
    """Those that can be run here, with their data's sizes, and why the others cannot."""
    used, not_run = {}, {}
    for setting in settings:
        try:
            data = check(setting, place)
            _check_pool(setting, data)
        except AlfaMixError as error:
            not_run[setting.name] = str(error)
            print(f"not run: {setting.name}: {error}", flush=True)
            continue
        sizes = len(data.train.labels), len(data.test.labels)
        used[setting] = Examples(*sizes, dict(data.left_out))
    return used, not_run


def _check_pool(setting: Setting, data: Data) -> None:
    """DataError: the last choice would be of all that is left, the same for every strategy."""
    size = min(setting.pool or len(data.train.labels), len(data.train.labels))
    budget = setting.per_class * setting.num_classes(data)
    labels = budget * (setting.rounds if setting.is_cold else setting.rounds + 1)
    if labels >= size:
        raise DataError(
            f"{labels} labels are to be given in the end, {budget} a round; found is a pool of "
            f"{size}, needed are more, or fewer rounds or labels a class"
        )
