"""Do our strategies pick what others' implementations of them pick?

`python -m benchmarks references` gives ours and theirs the same arrays: what a strategy sees in the
first choice of a learning curve. It prints how many picks they have in common, what both reach by
the method's own measure, and test accuracy after either batch; pairs are ours and theirs. What is
not there is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from backend.acquisition import Pool, select
from backend.errors import SettingsError
from benchmarks.curves.bench import Place, warm
from benchmarks.curves.settings import ALL, Setting
from benchmarks.learning_curves import FEATURES
from benchmarks.reference_code.dal_toolbox import (
    BINARY,
    bait_of_means_picks,
    dal_toolbox_picks,
    refine_picks,
    typiclust_picks,
    uncertainty_herding_picks,
)
from benchmarks.reference_code.first_choice import FirstChoice, first_choice
from benchmarks.reference_code.objectives import (
    ball_coverage,
    doubt_coverage,
    farthest,
    gradient_spread,
    kernel_coverage,
    unexplained_information,
)
from benchmarks.reference_code.scikit_activeml import scikit_activeml_picks
from benchmarks.reference_code.uherding import uherding_picks

SETTINGS = ("digits, bundled ViT head, 5 a class", "Fashion-MNIST, bundled ViT head, 5 a class")
RADIUS = 0.5
LIBRARY, AUTHORS, TOOLBOX = "scikit-activeml", "uherding", "dal-toolbox"
PACKAGES = {LIBRARY: "skactiveml", AUTHORS: "pycls", TOOLBOX: "dal_toolbox"}

COLUMNS = (
    "strategy",
    "compared with",
    "% in common",
    "with itself, drawn anew",
    "measure, ours / theirs",
    "accuracy after, %",
    "processor s",
)

Picks = Callable[[Pool, int, int], np.ndarray]  # (pool, budget, seed) -> (B,) pool rows


@dataclass(frozen=True)
class Reference:
    """One of our strategies and another implementation of it.

    measure: of pool and picks, what the method optimizes; None where it optimizes nothing.
    options: of ours, for equal terms.
    is_random: two draws of either do not pick the same.
    """

    strategy: str
    project: str
    theirs: Picks
    measure: Callable[[Pool, np.ndarray], float] | None = None
    detail: str = ""
    options: dict = field(default_factory=dict)
    is_random: bool = False

    @property
    def name(self) -> str:
        """The project, and what is special about this row."""
        return f"{self.project}, {self.detail}" if self.detail else self.project


def _library(name: str, **options: object) -> Picks:
    return partial(scikit_activeml_picks, name, options)


def _toolbox(name: str, **options: object) -> Picks:
    return partial(dal_toolbox_picks, name, options)


REFERENCES = (
    Reference(
        "maxherding", LIBRARY, _library("MaxHerding", metric_dict={"gamma": 1.0}), kernel_coverage
    ),
    Reference("maxherding", AUTHORS, partial(uherding_picks, "Herding"), kernel_coverage),
    Reference("maxherding", TOOLBOX, _toolbox("MaxHerding"), kernel_coverage),
    Reference("uherding", AUTHORS, partial(uherding_picks, "UHerding"), doubt_coverage),
    Reference("uherding", TOOLBOX, uncertainty_herding_picks, doubt_coverage),
    Reference("bait", TOOLBOX, _toolbox("BaitSampling", **BINARY), unexplained_information),
    Reference("bait", TOOLBOX, bait_of_means_picks, unexplained_information, "of means"),
    Reference("core-set", LIBRARY, _library("CoreSet"), farthest),
    Reference(
        "probcover",
        LIBRARY,
        _library("ProbCover", deltas=[RADIUS]),
        partial(ball_coverage, RADIUS),
        options={"radius": RADIUS},
        is_random=True,
    ),
    Reference("badge", LIBRARY, _library("Badge"), gradient_spread, is_random=True),
    Reference("badge", TOOLBOX, _toolbox("Badge"), gradient_spread, is_random=True),
    Reference("typiclust", LIBRARY, _library("TypiClust"), is_random=True),
    Reference("typiclust", TOOLBOX, typiclust_picks, is_random=True),
    Reference("alfa-mix", TOOLBOX, _toolbox("AlfaMix"), is_random=True),
    Reference("dropquery", LIBRARY, _library("DropQuery", n_dropout_samples=3), is_random=True),
    Reference("dropquery", TOOLBOX, _toolbox("DropQuery"), is_random=True),
    Reference("refine", TOOLBOX, refine_picks, doubt_coverage, is_random=True),
)


@dataclass(frozen=True)
class Found:
    """What one draw of the arrays says; pairs are ours and theirs.

    in_common: the share of the batch. again: what either has in common with itself, drawn anew.
    """

    in_common: float
    again: tuple[float, float] | None
    measures: tuple[float, float] | None
    accuracies: tuple[float, float]
    seconds: tuple[float, float]


def main(argv: list[str]) -> int:
    """Compare and print; 2 where none of the others is there."""
    arguments = _parser().parse_args(argv)
    sys.path += [str(folder) for folder in _folders(arguments)]
    wanted = [one for one in REFERENCES if _is_wanted(one, arguments.strategies)]
    if not wanted:
        raise SettingsError(
            "none of the other implementations is there; needed is one of --reference-packages, "
            "--uherding and --dal-toolbox, or another of --strategies"
        )
    place = Place(Path("datasets"), arguments.features, None)
    with threadpool_limits(1):
        for setting in _settings(arguments.setting):
            warm(setting, place)
            for line in _table(replace(setting, seeds=arguments.seeds), wanted, place):
                print(line, flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks references", description=__doc__)
    add = parser.add_argument
    add("--reference-packages", type=Path, metavar="FOLDER", help="what pip installed there")
    add("--uherding", type=Path, metavar="FOLDER", help="a checkout of BorealisAI/uherding")
    add("--dal-toolbox", type=Path, metavar="FOLDER", help="one of dhuseljic/dal-toolbox")
    add("--strategies", nargs="+", metavar="NAME", help="only these")
    add("--setting", default="", metavar="TEXT", help="the setting whose name holds TEXT")
    add("--seeds", type=int, default=3, metavar="N", help="draws of the arrays (%(default)s)")
    add("--features", type=Path, default=FEATURES, help="cache of ViT features (%(default)s)")
    return parser


def _folders(arguments: argparse.Namespace) -> Iterator[Path]:
    """Behind our own packages, so that none of theirs takes the place of one."""
    if arguments.dal_toolbox:
        yield arguments.dal_toolbox
    if arguments.uherding:
        yield arguments.uherding / "deep-al"
    if arguments.reference_packages:
        yield arguments.reference_packages


def _settings(text: str) -> list[Setting]:
    """SettingsError: no setting's name holds the text."""
    found = [one for one in ALL if one.name in SETTINGS and text in one.name]
    if not found:
        raise SettingsError(f"--setting is {text!r}; needed is part of {' or '.join(SETTINGS)}")
    return found


def _is_wanted(reference: Reference, strategies: Sequence[str] | None) -> bool:
    is_there = importlib.util.find_spec(PACKAGES[reference.project]) is not None
    return is_there and (strategies is None or reference.strategy in strategies)


def _table(setting: Setting, wanted: Sequence[Reference], place: Place) -> Iterator[str]:
    choices = [first_choice(setting, seed, place) for seed in range(setting.seeds)]
    sizes = f"N {len(choices[0].pool.ids):,}, D {choices[0].pool.embeddings.shape[1]}"
    yield f"{setting.name}: {sizes}, B {choices[0].budget}, {setting.seeds} draws"
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|" + " --- |" * len(COLUMNS)
    for reference in wanted:
        yield row(reference, [compared(reference, choice) for choice in choices])
    yield ""


def compared(reference: Reference, choice: FirstChoice) -> Found:
    """One of ours beside theirs, on one draw of the arrays."""
    pool, budget = choice.pool, choice.budget
    options = reference.options

    def ours(seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return select(reference.strategy, pool, budget, generator, supply=0, options=options).rows

    def theirs(seed: int) -> np.ndarray:
        return reference.theirs(pool, budget, seed)

    (mine, mine_s), (other, other_s) = _timed(ours), _timed(theirs)
    measure, again = reference.measure, None
    if reference.is_random:
        again = share_in_common(mine, ours(1)), share_in_common(other, theirs(1))
    return Found(
        share_in_common(mine, other),
        again,
        None if measure is None else (measure(pool, mine), measure(pool, other)),
        (choice.accuracy_with(mine), choice.accuracy_with(other)),
        (mine_s, other_s),
    )


def _timed(pick: Callable[[int], np.ndarray]) -> tuple[np.ndarray, float]:
    started = time.process_time()
    return pick(0), time.process_time() - started


def share_in_common(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Of two (B,) batches, whatever their order."""
    return len(np.intersect1d(ours, theirs)) / len(ours)


def row(reference: Reference, found: Sequence[Found]) -> str:
    """The table's row: means over the draws, medians of the seconds."""
    common = 100 * np.mean([one.in_common for one in found])
    again, measure = "", ""
    if reference.is_random:
        again = _pair(100 * np.mean([one.again for one in found], axis=0), 0)
    if reference.measure is not None:
        mine, other = np.mean([one.measures for one in found], axis=0)
        measure = f"{mine / other:.3f}"
    accuracies = _pair(100 * np.mean([one.accuracies for one in found], axis=0), 1)
    seconds = _pair(np.median([one.seconds for one in found], axis=0), 2)
    cells = (reference.strategy, reference.name, f"{common:.0f}", again, measure)
    return "| " + " | ".join((*cells, accuracies, seconds)) + " |"


def _pair(values: np.ndarray, digits: int) -> str:
    return " and ".join(f"{value:.{digits}f}" for value in values)
