"""What a head is worth at equal labels: random labels, frozen or tuned embeddings.

`python -m benchmarks heads` prints a table a data set: test accuracy of each kind of head by the
number of labels, and how well it knows its chances (log loss on the pool's other images). Fitting
is the backend's own (`VisionSession.train`). `--speed` prints instead how long `auto` takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

from backend.errors import AlfaMixError, SettingsError
from backend.vision.heads import AUTO, fit_head
from benchmarks.curves.bench import Place, Stage, stage, warm
from benchmarks.curves.settings import Setting
from benchmarks.learning_curves import FEATURES, HEADS

COUNTS = (20, 50, 100, 200, 400, 800)
FEWEST_LEFT = 50  # of the pool, for the log loss
# Labels, classes: how long a head takes on embeddings of SPEED_DIM numbers.
SPEEDS = ((20, 10), (200, 10), (800, 10), (5000, 10), (5000, 100))
SPEED_DIM = 1536
IMAGES = {"network": "head", "initialization": "pretrained", "per_class": 1, "seeds": 5}
SETTINGS = (
    Setting("digits, bundled ViT", "digits", **IMAGES),
    Setting("Fashion-MNIST, bundled ViT", "fashion-mnist", **IMAGES, pool=4000, test=2000),
    Setting(
        "CIFAR-10, ViT-S",
        "cifar10",
        **IMAGES,
        backbone="vit_small_patch14_dinov2",
        image_px=112,
    ),
    Setting("digits, MLP", "digits", **IMAGES | {"network": "mlp", "initialization": "random"}),
    Setting(
        "breast cancer, MLP",
        "breast-cancer",
        **IMAGES | {"network": "mlp", "initialization": "random"},
    ),
    Setting(
        "Fashion-MNIST, tuned blocks:2",
        "fashion-mnist",
        **IMAGES | {"network": "blocks:2", "seeds": 3},
        pool=600,
        test=1000,
    ),
)


@dataclass(frozen=True)
class Row:
    """One head on one draw of labels. log_loss: on the pool's other images, in nats."""

    setting: str
    head: str
    seed: int
    n_labeled: int
    accuracy: float
    log_loss: float
    fit_s: float


def main(argv: list[str]) -> int:
    """Measure, print a table a setting, and write the rows as JSON where asked to."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(1)  # equal rows on every machine
    threadpool_limits(1)
    if arguments.speed:
        print("\n".join(speeds()))
        return 0
    place = Place(arguments.data, arguments.features, arguments.weights)
    rows: list[Row] = []
    for setting in _settings(arguments):
        try:
            found = list(_measured(setting, arguments.heads, place))
        except AlfaMixError as error:
            print(f"not run: {setting.name}: {error}\n", flush=True)
            continue
        print("\n".join(table(found)), flush=True)
        rows += found
        if arguments.json:
            arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks heads", description=__doc__)
    add = parser.add_argument
    add("--setting", action="append", metavar="TEXT", help="settings whose names hold TEXT")
    add("--heads", nargs="+", choices=HEADS, default=list(HEADS), help="only these")
    add("--seeds", type=int, metavar="N", help="only the first N draws of each setting")
    add("--speed", action="store_true", help="how long `auto` takes")
    add("--json", type=Path, metavar="FILE", help="write all rows there too")
    add("--data", type=Path, default=Path("datasets"), help="folder of data sets (%(default)s)")
    add("--weights", type=Path, metavar="FILE", help="weights of the ViT-S, which do not ship")
    add("--features", type=Path, default=FEATURES, help="cache of ViT features (%(default)s)")
    return parser


def _settings(arguments: argparse.Namespace) -> list[Setting]:
    """The settings asked for. SettingsError: there is none, or no seed."""
    texts, seeds = arguments.setting, arguments.seeds
    found = [one for one in SETTINGS if texts is None or any(text in one.name for text in texts)]
    if not found:
        raise SettingsError(f"no setting's name holds {' or '.join(texts)}")
    if seeds is None:
        return found
    if seeds < 1:
        raise SettingsError(f"--seeds is {seeds}; needed is 1 or more")
    return [replace(one, seeds=min(seeds, one.seeds)) for one in found]


def _measured(setting: Setting, heads: Sequence[str], place: Place) -> Iterator[Row]:
    """The rows of one setting."""
    warm(setting, place)
    for head in heads:
        for seed in range(setting.seeds):
            yield from measured(replace(setting, head=head), seed, place)


def measured(setting: Setting, seed: int, place: Place) -> Iterator[Row]:
    """A row for each number of labels: the first of one order of the pool."""
    ready = stage(setting, seed, place)
    order = np.random.default_rng(seed).permutation(len(ready.truth.labels))
    for count in COUNTS:
        if count + FEWEST_LEFT <= len(order):
            yield _row(setting, ready, seed, order[:count])


def _row(setting: Setting, ready: Stage, seed: int, labeled: np.ndarray) -> Row:
    truth = ready.truth
    started = time.perf_counter()
    fit = ready.learner.fit(labeled, truth.labels[labeled], seed, None)
    seconds = time.perf_counter() - started
    others = np.setdiff1d(np.arange(len(truth.labels)), labeled)
    chances = log_softmax(fit.head.logits(fit.embeddings[others]).astype(float), axis=1)
    log_loss = -chances[np.arange(len(others)), truth.labels[others]].mean()
    accuracy = np.mean(fit.predictions == truth.test_labels)
    return Row(
        *(setting.name, setting.head, seed, len(labeled)),
        *(float(accuracy), float(log_loss), seconds),
    )


def speeds() -> Iterator[str]:
    """Markdown: processor seconds of `auto` on one thread, on blobs of embeddings."""
    yield f"| labels of {SPEED_DIM} numbers | classes | s |"
    yield "| --- | --- | --- |"
    rng = np.random.default_rng(0)
    for count, classes in SPEEDS:
        labels = np.arange(count) % classes
        centers = rng.normal(size=(classes, SPEED_DIM))
        embeddings = (0.2 * centers[labels] + rng.normal(size=(count, SPEED_DIM))).astype("float32")
        started = time.process_time()
        fit_head(embeddings, labels, classes, AUTO, rng)
        yield f"| {count:,} | {classes} | {time.process_time() - started:.2f} |"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Markdown of one setting's rows: accuracy in percent / log loss, means over the seeds."""
    counts = sorted({row.n_labeled for row in rows})
    seeds = len({row.seed for row in rows})
    yield f"### {rows[0].setting} ({seeds} draws)"
    yield ""
    yield f"| labels | {' | '.join(map(str, counts))} |"
    yield f"| --- |{' --- |' * len(counts)}"
    for head in dict.fromkeys(row.head for row in rows):
        of_head = [row for row in rows if row.head == head]
        cells = (_cell([row for row in of_head if row.n_labeled == count]) for count in counts)
        yield f"| {head} | {' | '.join(cells)} |"
    yield ""


def _cell(rows: Sequence[Row]) -> str:
    accuracy = np.mean([row.accuracy for row in rows])
    return f"{100 * accuracy:.1f} / {np.mean([row.log_loss for row in rows]):.2f}"
