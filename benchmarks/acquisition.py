"""How fast acquisition is: this project, scikit-activeml where it is installed, the authors' code.

`python -m benchmarks acquisition` takes some minutes; `--full` is the whole table, hours of it for
the others' code; `--goals` measures what docs/acquisition.md promises. The authors' code runs when
`--reference` names a checkout of AminParvaneh/alpha_mix_active_learning. Every row is a process of
its own on one thread: the same inputs, the median of the repeats, wall and processor time.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.acquisition_cases import Case, Result
from benchmarks.image_features import is_available

OURS, AUTHORS, LIBRARY = "this project", "authors", "scikit-activeml"
LEARN = "scikit-learn"
IN_LIBRARY = ("badge", "core-set", "typiclust", "maxherding", "probcover", "dropquery")
ALFA_MIX = ("two-products", "candidate-search", "alfa-mix")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

# (method, implementation, N, D, K, B, repeats)
Plan = tuple[str, str, int, int, int, int, int]


def main(argv: list[str]) -> int:
    """Measure, print the table, and write the rows as JSON where asked to."""
    arguments = _parser().parse_args(argv)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = []
        print(_HEADER)
        for plan in _available(_plans(arguments), arguments.reference):
            case = Case(*plan, folder=folder, reference=arguments.reference)
            row = _measure(case)
            print(_line(row), flush=True)
            rows.append(row)
            if arguments.json:
                arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    for line in goals(rows):
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks acquisition", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="the whole table")
    size.add_argument("--goals", action="store_true", help="what docs/acquisition.md promises")
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--implementations", nargs="+", choices=(OURS, AUTHORS, LIBRARY, LEARN))
    parser.add_argument("--reference", help="checkout of the authors' code")
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--folder", type=Path, help="where to keep generated pools while it runs")
    return parser


def _plans(arguments: argparse.Namespace) -> Iterator[Plan]:
    plans = _full() if arguments.full else _goals() if arguments.goals else _small()
    for plan in plans:
        if arguments.methods and plan[0] not in arguments.methods:
            continue
        if arguments.implementations and plan[1] not in arguments.implementations:
            continue
        yield plan


def _small() -> Iterator[Plan]:
    for classes in (10, 100):
        for method in ALFA_MIX:
            yield method, OURS, 10_000, 384, classes, 100, 5
        for method in ALFA_MIX[1:]:
            yield method, AUTHORS, 10_000, 384, classes, 100, 1
    for implementation in (OURS, LEARN):
        yield "kmeans", implementation, 10_000, 384, 10, 100, 1
    for method in IN_LIBRARY:
        yield method, OURS, 10_000, 384, 10, 100, 3
        yield method, LIBRARY, 10_000, 384, 10, 100, 1


def _goals() -> Iterator[Plan]:
    for method in ALFA_MIX:
        yield method, OURS, 50_000, 384, 100, 1_000, 5
    for method in ALFA_MIX[1:]:
        yield method, AUTHORS, 50_000, 384, 100, 1_000, 1
    for method, budget in (("badge", 100), ("core-set", 1_000)):
        yield method, OURS, 50_000, 384, 10, budget, 3
        yield method, LIBRARY, 50_000, 384, 10, budget, 1
    for implementation in (OURS, LEARN):
        yield "kmeans", implementation, 20_000, 384, 100, 500, 3
    for budget, implementation in itertools.product((100, 1_000), (OURS, LEARN)):
        yield "kmeans-images", implementation, 20_000, 384, 10, budget, 3
    for implementation in (OURS, LIBRARY):
        yield "maxherding", implementation, 6_000, 1_536, 10, 100, 1
    for budget in (100, 1_000):
        yield "supply", OURS, 100_000, 1_536, 10, budget, 3
    yield "alfa-mix", OURS, 1_000_000, 384, 100, 1_000, 1


def _full() -> Iterator[Plan]:
    sizes = [
        (n, d, k, b)
        for n in (10_000, 50_000, 1_000_000)
        for d in (384, 1536)
        for k in (10, 100)
        for b in (100, 1_000)
    ]
    for size in sizes:
        million = size[0] == 1_000_000
        for method in ALFA_MIX:
            yield method, OURS, *size, 1 if million else 5
        for method in () if million else ALFA_MIX[1:]:
            yield method, AUTHORS, *size, 1
        for method in () if million else IN_LIBRARY:
            yield method, OURS, *size, 3
            yield method, LIBRARY, *size, 1


def _available(plans: Iterator[Plan], reference: str | None) -> Iterator[Plan]:
    has_library = importlib.util.find_spec("skactiveml") is not None
    for plan in plans:
        if plan[1] == AUTHORS and reference is None:
            continue
        if plan[1] == LIBRARY and not has_library:
            continue
        if plan[0] == "kmeans-images" and not is_available():
            continue
        yield plan


def _measure(case: Case) -> dict:
    """The row of a case; `seconds` is null where it failed, and the error goes to stderr."""
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.acquisition_cases"],
        input=json.dumps(asdict(case)),
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if found.returncode:
        result = Result(math.nan, math.nan, math.nan, None, None)
    else:
        result = Result(**json.loads(found.stdout))
    sizes = {key: getattr(case, key) for key in "NDKB"}
    row = {"method": case.method, "implementation": case.implementation, **sizes, **asdict(result)}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}


_HEADER = (
    f"{'method':18}{'implementation':17}{'N':>9}{'D':>6}{'K':>5}{'B':>6}"
    f"{'seconds':>11}{'cpu s':>11}{'peak MiB':>10}{'candidates':>12}{'inertia':>10}"
)


def _line(row: dict) -> str:
    sizes = f"{row['N']:>9}{row['D']:>6}{row['K']:>5}{row['B']:>6}"
    label = f"{row['method']:18}{row['implementation']:17}{sizes}"
    if row["seconds"] is None:
        return f"{label}     failed"
    times = f"{row['seconds']:>11.3f}{row['cpu_seconds']:>11.3f}{row['peak_mib']:>10.0f}"
    candidates = "" if row["n_candidates"] is None else row["n_candidates"]
    inertia = "" if row["inertia"] is None else f"{row['inertia']:.1f}"
    return f"{label}{times}{candidates:>12}{inertia:>10}"


def goals(rows: list[dict]) -> Iterator[str]:
    """Ratios of processor time, and of inertia, where both sides were measured."""
    inertia = _measured(rows, "inertia")
    for (method, implementation, *size), value in inertia.items():
        if implementation == LEARN and (method, OURS, *size) in inertia:
            percent = 100 * (inertia[(method, OURS, *size)] / value - 1)
            yield f"{method} {size}: {percent:+.2f} % inertia to {LEARN}'s"
    cpu = _measured(rows, "cpu_seconds")
    for (method, implementation, *size), seconds in cpu.items():
        if implementation != OURS and (method, OURS, *size) in cpu:
            ratio = seconds / cpu[(method, OURS, *size)]
            yield f"{method} {size}: {ratio:.1f} times faster than {implementation}"
        if method == "two-products" and ("candidate-search", OURS, *size) in cpu:
            ratio = cpu[("candidate-search", OURS, *size)] / seconds
            yield f"candidate-search {size}: {ratio:.2f} times the two products"
        small = ("alfa-mix", OURS, 50_000, *size[1:])
        if (method, implementation, size[0]) == ("alfa-mix", OURS, 1_000_000) and small in cpu:
            exponent = math.log(seconds / cpu[small]) / math.log(20)
            yield f"alfa-mix {size}: time grows as N^{exponent:.2f} from N = 50,000"


def _measured(rows: list[dict], figure: str) -> dict[tuple, float]:
    """The rows' `figure` by (method, implementation, N, D, K, B) where there is one."""
    key = ("method", "implementation", "N", "D", "K", "B")
    return {tuple(row[name] for name in key): row[figure] for row in rows if row[figure]}
