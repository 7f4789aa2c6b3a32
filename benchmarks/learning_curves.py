"""Does it save labels? The paper's comparison, on data within reach.

`python -m benchmarks learning-curves` computes what its file of rows lacks, then draws the curves
and the penalty matrices and writes the page. Stop it when you like: the same command goes on.
Without --setting it runs all settings that can be run here; --data-set makes one of your own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backend.acquisition import strategy_names
from backend.errors import AlfaMixError, SettingsError
from benchmarks.curves.bench import Place, check
from benchmarks.curves.page import AUTHORS_PENALTIES, PENALTIES, Summary, page
from benchmarks.curves.penalty import AUTHORS, OURS, penalties
from benchmarks.curves.pictures import draw_all, draw_penalties
from benchmarks.curves.rows import read_rows
from benchmarks.curves.runs import execute, missing
from benchmarks.curves.settings import ALL, INITIALIZATIONS, Setting
from benchmarks.curves.tables import Curves, curves_of

RESULTS = Path(__file__).parent / "results"
FEATURES = Path(__file__).parent / "features"


def main(argv: list[str]) -> int:
    """Run, draw, write; 1 where nothing could be run."""
    arguments = _parser().parse_args(argv)
    # Its processes end with the command, also when it is ended from outside.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    add("--strategies", nargs="+", metavar="NAME", help="only these")
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
    usable, not_run, left_out = _checked(settings, place)
    if not usable:
        raise SettingsError("; ".join(f"{name}: {why}" for name, why in not_run.items()))
    if not arguments.no_runs:
        runs = missing(usable, arguments.strategies, file)
        print(f"{len(usable)} settings, {len(runs)} runs to do", flush=True)
        execute(runs, place, file, arguments.jobs)
    _write(arguments.out, settings, Summary(_command(arguments), left_out, not_run))
    return 0


def _command(arguments: argparse.Namespace) -> str:
    """The command for the page: what decides the rows, without the paths of this machine."""
    parts = ["python -m benchmarks learning-curves"]
    if arguments.data_set:
        own = Path(arguments.data_set).name
        parts.append(f"--data-set {own} --network {arguments.network}")
    if arguments.weights:
        parts.append("--data FOLDER --weights FILE")
    return " ".join(parts)


def _settings(arguments: argparse.Namespace) -> Sequence[Setting]:
    """The settings that the command line names. SettingsError: it names none, or nonsense."""
    unknown = sorted(set(arguments.strategies or ()) - set(strategy_names()))
    if unknown:
        raise SettingsError(
            f"unknown strategies {', '.join(unknown)}; known are {', '.join(strategy_names())}"
        )
    for name in ("seeds", "jobs", "per_class", "rounds"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise SettingsError(f"--{name.replace('_', '-')} is {value}; needed is 1 or more")
    chosen = [_own(arguments)] if arguments.data_set else _named(arguments.setting)
    if arguments.seeds is None:
        return chosen
    return [_with_seeds(setting, arguments.seeds) for setting in chosen]


def _named(texts: Sequence[str] | None) -> list[Setting]:
    found = [s for s in ALL if texts is None or any(text in s.name for text in texts)]
    if not found:
        raise SettingsError(f"no setting's name holds {' or '.join(texts)}; --list names them")
    return found


def _own(arguments: argparse.Namespace) -> Setting:
    name = f"{Path(arguments.data_set).name}, {arguments.network}, {arguments.per_class} a class"
    return Setting(
        name,
        arguments.data_set,
        arguments.network,
        arguments.initialization,
        arguments.per_class,
        arguments.rounds,
        backbone=arguments.backbone,
        image_px=arguments.image_px,
    )


def _with_seeds(setting: Setting, seeds: int) -> Setting:
    return replace(setting, seeds=min(seeds, setting.seeds))


def _checked(
    settings: Sequence[Setting], place: Place
) -> tuple[list[Setting], dict[str, str], dict[str, dict[str, int]]]:
    """Those that can be run here, why the others cannot, and what of the data is left out."""
    usable, not_run, left_out = [], {}, {}
    for setting in settings:
        try:
            data = check(setting, place)
        except AlfaMixError as error:
            not_run[setting.name] = str(error)
            print(f"not run: {setting.name}: {error}", flush=True)
            continue
        usable.append(setting)
        if data.left_out:
            left_out[setting.data] = dict(data.left_out)
    return usable, not_run, left_out


def _write(out: Path, settings: Sequence[Setting], summary: Summary) -> None:
    rows = read_rows(out / "rows.csv")
    cold_names = {setting.name for setting in settings if setting.is_cold}
    found = curves_of(rows)
    cold = [curves for curves in found if curves.setting in cold_names]
    warm = [curves for curves in found if curves.setting not in cold_names]
    draw_all(warm, out)
    _draw_penalties(warm, out)
    (out / "README.md").write_text(page(warm, cold, summary), encoding="utf-8")
    print(f"wrote {out / 'README.md'}: {len(warm)} settings, {len(cold)} first batches")


def _draw_penalties(curves: Sequence[Curves], out: Path) -> None:
    common = [name for name in strategy_names() if all(name in found.accuracy for found in curves)]
    if not curves or len(common) < 2:
        return
    draw_penalties(penalties(curves, common, OURS), "Paired t-test, ddof 1", out, PENALTIES)
    draw_penalties(
        penalties(curves, common, AUTHORS),
        "The authors' test, ddof 0, t > 2.776",
        out,
        AUTHORS_PENALTIES,
    )
