"""How good the stop advice is, and what the tasks drawn at random cost, where the truth is known.

`python -m benchmarks stop-advice` replays rounds until the pool is labeled: each measures its head
on tasks that were drawn at random and predicted before they had a label, as a running project does.
Such a task then joins the training (`joins`), or never does (`apart`), or none is drawn (`none`).
Rows are appended to --out as they come, and rows that are there are not made again; the tables
follow.

A run's true end is where the next batch brings less than the setting's mean over seeds ever again
does: from there on the smoothed mean accuracy on the test images rises by less than
ALFAMIX_STOP_GAIN a batch.
Beside the advice stand two rules that look at predictions alone: stabilizing predictions (Bloodgood
and Vijay-Shanker 2009: mean kappa of three rounds at 0.99) and classification change (Zhu et al.
2008: no prediction changed), both on the test images without their labels.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import cohen_kappa_score
from threadpoolctl import threadpool_limits

from backend.acquisition import audit_size, standardized_pool
from backend.evaluation import LearningCurve, Measurement, Verdict, advise
from backend.replay import Fit, interval
from backend.settings import Settings
from benchmarks.curves.bench import Place, Stage, rule, stage, warm
from benchmarks.curves.settings import Setting
from benchmarks.learning_curves import FEATURES

SHARE = Settings().audit
STOP_GAIN = Settings().stop_gain
# What becomes of drawn tasks.
JOINS, APART, NONE = "joins", "apart", "none"
WAYS = (JOINS, APART, NONE)
WINDOW = 3
KAPPA = 0.99
IMAGES = {"network": "head", "initialization": "pretrained", "head": "auto", "seeds": 3}
SETTINGS = (
    Setting("digits, 30 a batch", "digits", per_class=3, **IMAGES),
    Setting(
        "Fashion-MNIST, 50 a batch", "fashion-mnist", per_class=5, pool=1500, test=2000, **IMAGES
    ),
)


@dataclass(frozen=True)
class Row:
    """One round of one run.

    spent: labels that people gave. accuracy: on the test images. left: on what was unlabeled.
    right, drawn: of the tasks drawn in this round. kappa, changed: of the test images' predictions
    against the round before; nan in the first.
    """

    setting: str
    way: str
    seed: int
    spent: int
    accuracy: float
    left: float
    right: int
    drawn: int
    kappa: float
    changed: float


def main(argv: list[str]) -> int:
    """Make the rows that are lacking, then print the tables."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(1)  # equal rows on every machine
    threadpool_limits(1)
    place = Place(arguments.data, arguments.features, None)
    kept = read_rows(arguments.out)
    known = {(row.setting, row.way, row.seed) for row in kept}
    for setting in SETTINGS:
        warm(setting, place)
        for seed in range(setting.seeds):
            for way in WAYS:
                if (setting.name, way, seed) not in known:
                    kept += _appended(list(run(setting, way, seed, place)), arguments.out)
    for setting in SETTINGS:
        found = [row for row in kept if row.setting == setting.name]
        print("\n".join([f"### {setting.name}", "", *advice_table(found), "", *cost_table(found)]))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks stop-advice", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("stop-advice.jsonl"), help="rows (%(default)s)")
    add("--data", type=Path, default=Path("datasets"), help="folder of data sets (%(default)s)")
    add("--features", type=Path, default=FEATURES, help="cache of ViT features (%(default)s)")
    return parser


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none where it is not there."""
    if not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _appended(rows: list[Row], path: Path) -> list[Row]:
    """The rows of a whole run, once they are in the file."""
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return rows


def run(setting: Setting, way: str, seed: int, place: Place) -> Iterator[Row]:
    """A row a round, from a random first batch until nothing is left to draw from."""
    ready = stage(setting, seed, place)
    truth, budget = ready.truth, ready.plan.budget
    spent = np.random.default_rng(seed).permutation(len(truth.labels))[:budget]
    trained, before, number = spent, None, 0
    while len(truth.labels) - len(spent) > budget:
        fit = ready.learner.fit(trained, truth.labels[trained], seed, None)
        left = np.setdiff1d(np.arange(len(truth.labels)), spent)
        is_right = _predicted(fit, left) == truth.labels[left]
        generator = np.random.default_rng([seed, number])
        size = 0 if way == NONE else audit_size(budget, SHARE, generator)
        drawn = generator.choice(left, size, replace=False)
        yield Row(
            *(setting.name, way, seed, len(spent)),
            float(np.mean(fit.predictions == truth.test_labels)),
            float(is_right.mean()),
            int(is_right[np.isin(left, drawn)].sum()),
            size,
            *_stability(before, fit),
        )
        chosen = _chosen(setting, ready, fit, trained, np.setdiff1d(left, drawn), budget - size)
        spent = np.concatenate([spent, chosen, drawn])
        trained = np.concatenate([trained, chosen, *([] if way == APART else [drawn])])
        before, number = fit, number + 1


def _predicted(fit: Fit, rows: np.ndarray) -> np.ndarray:
    return fit.head.logits(fit.embeddings[rows]).argmax(axis=1)


def _stability(before: Fit | None, fit: Fit) -> tuple[float, float]:
    if before is None:
        return float("nan"), float("nan")
    kappa = cohen_kappa_score(before.predictions, fit.predictions)
    return float(kappa), float(np.mean(before.predictions != fit.predictions))


def _chosen(
    setting: Setting, ready: Stage, fit: Fit, trained: np.ndarray, pool: np.ndarray, budget: int
) -> np.ndarray:
    """The pool rows that the default strategy chooses."""
    found = standardized_pool(
        fit.embeddings[pool],
        fit.embeddings[trained],
        ready.truth.labels[trained],
        ready.truth.num_classes,
        fit.head,
        pool,
    )
    generator = np.random.default_rng(len(trained))
    return pool[rule(setting, "auto").choose(found, budget, generator, supply=0).rows]


# What the rows come to


def advice_table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown: of each rule, in how many runs it stopped too early, and how late in the others."""
    end = true_end(rows)
    yield f"Labels after which a batch brings less than {STOP_GAIN} points: {end}."
    yield ""
    yield "| rule | runs | too early | points lost by that | labels late, of the others | never |"
    yield "| --- | --- | --- | --- | --- | --- |"
    runs = [run for run in _runs(rows) if run[0].way == JOINS]
    for name, stops_at in RULES.items():
        yield _rule_line(name, [stops_at(run) for run in runs], runs, end)
    inside, total = _coverage(runs)
    yield ""
    yield f"The curve's interval held the accuracy on the unlabeled in {inside} of {total} rounds."


def _rule_line(
    name: str, stops: Sequence[int | None], runs: Sequence[Sequence[Row]], end: int
) -> str:
    early = [n for n, stop in enumerate(stops) if stop is not None and stop < end]
    lost = [_accuracy_at(runs[n], end) - _accuracy_at(runs[n], stops[n] or 0) for n in early]
    late = [stop - end for stop in stops if stop is not None and stop >= end]
    cells = (
        name,
        len(runs),
        len(early),
        f"{100 * np.mean(lost):.1f}" if lost else "",
        f"{np.mean(late):.0f}" if late else "",
        sum(stop is None for stop in stops),
    )
    return f"| {' | '.join(map(str, cells))} |"


def true_end(rows: Sequence[Row]) -> int:
    """Labels from which on no batch brings STOP_GAIN points, by the smoothed mean over all runs."""
    runs = _runs(rows)
    count = min(map(len, runs))
    mean = np.mean([[row.accuracy for row in run[:count]] for run in runs], axis=0)
    smooth = np.convolve(mean, np.ones(WINDOW) / WINDOW, mode="valid")
    enough = np.flatnonzero(100 * np.diff(smooth) >= STOP_GAIN)
    last = 0 if len(enough) == 0 else int(enough[-1]) + 1
    return runs[0][min(last + WINDOW // 2, count - 1)].spent


def by_advice(run: Sequence[Row]) -> int | None:
    """Labels at which the advice first says stop; None for never."""
    for number in range(1, len(run) + 1):
        curve = _curve(run[:number])
        batch = run[1].spent - run[0].spent
        if advise(curve, run[number - 1].spent, batch, STOP_GAIN).verdict is Verdict.STOP:
            return run[number - 1].spent
    return None


def by_kappa(run: Sequence[Row]) -> int | None:
    """Labels at which the mean kappa of WINDOW rounds reaches KAPPA."""
    for number in range(WINDOW, len(run)):
        if np.mean([row.kappa for row in run[number - WINDOW + 1 : number + 1]]) >= KAPPA:
            return run[number].spent
    return None


def by_change(run: Sequence[Row]) -> int | None:
    """Labels at which no prediction changed."""
    return next((row.spent for row in run if row.changed == 0), None)


RULES = {"advice": by_advice, "mean kappa": by_kappa, "classification change": by_change}


def _curve(run: Sequence[Row]) -> LearningCurve | None:
    measured = [Measurement(row.spent, row.right, row.drawn) for row in run if row.drawn]
    return LearningCurve(measured) if measured else None


def _coverage(runs: Sequence[Sequence[Row]]) -> tuple[int, int]:
    held = []
    for run in runs:
        for number in range(WINDOW, len(run)):
            curve = _curve(run[: number + 1])
            if curve is not None:
                found = curve.accuracy_at(run[number].spent)
                held.append(found.low <= run[number].left <= found.high)
    return sum(held), len(held)


def cost_table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown: test accuracy against no draws at equal labels, in points, means over rounds."""
    yield "| drawn tasks | points against none drawn |"
    yield "| --- | --- |"
    runs = {(run[0].way, run[0].seed): run for run in _runs(rows)}
    seeds = sorted({seed for _way, seed in runs})
    for way in (JOINS, APART):
        differences = [_mean_difference(runs[way, seed], runs[NONE, seed]) for seed in seeds]
        found = interval(np.array(differences))
        yield f"| {way} | {found.mean:+.2f} ({found.low:+.2f} to {found.high:+.2f}) |"


def _mean_difference(run: Sequence[Row], other: Sequence[Row]) -> float:
    """Points of test accuracy at equal labels, on average over the rounds that both have."""
    pairs = zip(run, other, strict=False)
    return float(100 * np.mean([one.accuracy - another.accuracy for one, another in pairs]))


def _runs(rows: Sequence[Row]) -> list[list[Row]]:
    runs: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        runs.setdefault((row.way, row.seed), []).append(row)
    return list(runs.values())


def _accuracy_at(run: Sequence[Row], spent: int) -> float:
    return next((row.accuracy for row in run if row.spent >= spent), run[-1].accuracy)
