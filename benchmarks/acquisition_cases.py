"""One measurement of one acquisition method, run in a process of its own by `acquisition`.

A process of its own, with its thread count set before numpy and torch load, is what makes peak
memory and time mean something. Reads a case as JSON on stdin, prints the result as JSON.

Legend: N pool rows, D embedding, K classes, B budget.
"""

from __future__ import annotations

import importlib
import itertools
import json
import math
import resource
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans

from backend.acquisition import LinearHead, Pool, select
from backend.acquisition.alfa_mix.anchors import class_means
from backend.acquisition.alfa_mix.closed_form import closed_form_flips
from backend.acquisition.contract import Picks
from backend.acquisition.engines.blocks import blocks, unit_rows
from backend.acquisition.engines.kmeans import kmeans
from backend.acquisition.supply import rank_supply

LABELS_PER_CLASS = 10
CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Case:
    """What to measure."""

    method: str
    implementation: str
    N: int
    D: int
    K: int
    B: int
    repeats: int
    folder: str  # where the generated embeddings of this size are kept
    reference: str | None  # checkout of the authors' code


@dataclass(frozen=True)
class Result:
    """What was measured: medians of the times over the repeats, and the process's peak memory."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    n_candidates: int | None
    inertia: float | None  # of k-means, the mean over the repeats, which differ in their seed


@dataclass(frozen=True)
class Found:
    """What one run says about its answer."""

    n_candidates: int | None = None
    inertia: float | None = None


def main() -> int:
    """Measure the case on stdin."""
    case = Case(**json.load(sys.stdin))
    torch.set_num_threads(1)
    run = _RUNNERS[case.implementation](case)
    times, cpu_times, found = [], [], []
    for _ in range(case.repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        found.append(run())
        times.append(time.perf_counter() - wall)
        cpu_times.append(time.process_time() - cpu)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    medians = statistics.median(times), statistics.median(cpu_times)
    result = Result(*medians, peak_mib, found[-1].n_candidates, _mean_inertia(found))
    print(json.dumps(asdict(result)))
    return 0


def _mean_inertia(found: list[Found]) -> float | None:
    if found[0].inertia is None:
        return None
    return statistics.mean(one.inertia for one in found)


def make_pool(case: Case) -> Pool:
    """A pool of overlapping classes with a falling spectrum; embeddings are read from disk.

    The head is the classes' discriminant, right on about nine rows of ten; between a tenth and a
    third of the rows are candidates at epsilon 0.2.
    """
    rng = np.random.default_rng(0)
    spectrum = np.linspace(2, 0.2, case.D)
    centers = 0.18 * math.sqrt(384 / case.D) * rng.normal(size=(case.K, case.D)) * spectrum
    file = Path(case.folder) / f"pool-{case.N}-{case.D}-{case.K}.f32"
    if not file.exists():
        _write_pool(file, centers, spectrum, case.N)
    labels = np.repeat(np.arange(case.K), LABELS_PER_CLASS)
    noise = rng.normal(size=(len(labels), case.D)) * spectrum
    weight = centers / spectrum**2
    return Pool(
        embeddings=np.memmap(file, dtype=np.float32, mode="r", shape=(case.N, case.D)),
        labeled_embeddings=(centers[labels] + noise).astype(np.float32),
        labels=labels,
        num_classes=case.K,
        head=LinearHead(weight.astype(np.float32), -0.5 * (weight * centers).sum(1)),
        ids=np.arange(case.N),
    )


def _write_pool(file: Path, centers: np.ndarray, spectrum: np.ndarray, count: int) -> None:
    rng = np.random.default_rng(1)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        for start in range(0, count, CHUNK_ROWS):
            size = min(CHUNK_ROWS, count - start)
            rows = centers[rng.integers(len(centers), size=size)]
            out.write((rows + rng.normal(size=rows.shape) * spectrum).astype("f4").tobytes())
    partial.rename(file)


def run_ours(case: Case) -> Callable[[], Found]:
    """This project's method on the case."""
    if case.method in ("kmeans", "kmeans-images"):
        points, seeds = _points(case), itertools.count()
        return lambda: Found(
            inertia=kmeans(points, case.B, np.random.default_rng(next(seeds))).inertia
        )
    pool = make_pool(case)
    if case.method == "candidate-search":
        return lambda: _search(pool)
    if case.method == "two-products":
        return lambda: _two_products(pool)
    if case.method == "supply":
        return lambda: _supply(pool, case.B)
    return lambda: _selection(case.method, pool, case.B)


def _selection(strategy: str, pool: Pool, budget: int) -> Found:
    """What selecting a batch finds; nothing is ranked behind it."""
    selection = select(strategy, pool, budget, np.random.default_rng(0), supply=0)
    candidates = selection.statistics.get("n_candidates")
    return Found(None if candidates is None else int(candidates))


def _supply(pool: Pool, budget: int) -> Found:
    """Rank the whole pool behind its first rows, in turn."""
    rank_supply(pool, Picks(np.arange(budget)), len(pool.ids) - budget)
    return Found()


def run_scikit_learn(case: Case) -> Callable[[], Found]:
    """Scikit-learn's k-means, run to convergence."""
    points, seeds = _points(case), itertools.count()

    def run() -> Found:
        learner = KMeans(case.B, n_init=1, max_iter=300, random_state=next(seeds))
        return Found(inertia=float(learner.fit(points).inertia_))

    return run


def _points(case: Case) -> np.ndarray:
    """What k-means clusters: unit-length rows of the generated pool, or of real images."""
    if case.method == "kmeans-images":
        # Imported here: the vision room would count in every other row's peak memory.
        module = importlib.import_module("benchmarks.image_features")
        return unit_rows(module.image_features(case.N, Path(case.folder)))
    return unit_rows(make_pool(case).embeddings)


def _search(pool: Pool) -> Found:
    anchors = class_means(pool.labeled_embeddings, pool.labels)
    critical, _ = closed_form_flips(pool.head, pool.embeddings, anchors)
    return Found(int((critical <= 0.2).sum()))


def _two_products(pool: Pool) -> Found:
    """Do what no search can avoid: the embeddings times the weights, and times the anchors."""
    anchors = class_means(pool.labeled_embeddings, pool.labels).astype(np.float32)
    weight, targets = torch.tensor(pool.head.weight.T), torch.tensor(anchors.T)
    for _, block in blocks(pool.embeddings):
        block @ weight
        block @ targets
    return Found()


def run_authors(case: Case) -> Callable[[], Found]:
    """The authors' ALFA-Mix on the case, with a stand-in for their model."""
    sys.path.insert(0, str(case.reference))
    module = importlib.import_module("query_strategies.alpha_mix_sampling")
    pool = make_pool(case)
    embeddings = torch.tensor(np.concatenate([pool.embeddings, pool.labeled_embeddings]))
    labeled = np.arange(len(embeddings)) >= case.N
    truth = torch.cat([torch.zeros(case.N, dtype=torch.int64), torch.tensor(pool.labels)])
    options = Namespace(
        alpha_closed_form_approx=True, alpha_opt=False, alpha_cap=0.2, n_label=case.K
    )
    model = _StandIn(pool.head)
    strategy = module.AlphaMixSampling(
        embeddings, truth, labeled, None, None, model, options, "cpu", _Silence()
    )
    if case.method == "candidate-search":
        strategy.sample = lambda n, feats: np.arange(n)
    return lambda: _query(strategy, case.B)


def _query(strategy: object, budget: int) -> Found:
    standard_output, sys.stdout = sys.stdout, sys.stderr  # the authors print; ours is the result
    try:
        return Found(len(strategy.query(budget)[5]))
    finally:
        sys.stdout = standard_output


class _StandIn:
    """The parts of the authors' model that their strategy calls, on embeddings."""

    def __init__(self, head: LinearHead) -> None:
        self._head = head

    def clf(self, embeddings: torch.Tensor, embedding: bool) -> tuple[torch.Tensor, torch.Tensor]:
        return self._head(embeddings), embeddings

    def predict_prob_embed(
        self, embeddings: torch.Tensor, truth: torch.Tensor, evaluate: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._head(embeddings).softmax(1), embeddings


class _Silence:
    """A summary writer that writes nothing."""

    def add_scalar(self, *arguments: object) -> None:
        """Ignore one figure."""


def run_scikit_activeml(case: Case) -> Callable[[], Found]:
    """Scikit-activeml's method on the case."""
    library = importlib.import_module("skactiveml.pool")
    pool = make_pool(case)
    every = np.concatenate([pool.embeddings, pool.labeled_embeddings])
    labels = np.concatenate([np.full(case.N, np.nan), pool.labels])
    arguments = {"X": every, "y": labels, "batch_size": case.B}
    if case.method == "badge":
        strategy = library.Badge(clf_embedding_flag_name="return_embeddings", random_state=0)
        arguments |= {"clf": linear_classifier(pool), "fit_clf": False}
    elif case.method == "dropquery":
        strategy = library.DropQuery(
            clf_embedding_flag_name="return_embeddings", n_dropout_samples=3, random_state=0
        )
        arguments |= {"clf": linear_classifier(pool), "fit_clf": False}
    elif case.method == "maxherding":
        strategy = library.MaxHerding(metric_dict={"gamma": 1.0}, random_state=0)
    else:
        name = {"core-set": "CoreSet", "typiclust": "TypiClust", "probcover": "ProbCover"}
        strategy = getattr(library, name[case.method])(random_state=0)

    def run() -> Found:
        strategy.query(**arguments)
        return Found()

    return run


def linear_classifier(pool: Pool) -> object:
    base = importlib.import_module("skactiveml.base").SkactivemlClassifier

    class Linear(base):
        """The pool's head as a classifier of that library."""

        def fit(self, X: np.ndarray, y: np.ndarray) -> Linear:
            return self

        def predict_proba(self, X: np.ndarray, return_embeddings: bool = False) -> np.ndarray:
            embeddings = np.asarray(X, dtype=np.float32)
            probabilities = pool.head(torch.tensor(embeddings)).softmax(1).numpy()
            return (probabilities, embeddings) if return_embeddings else probabilities

        def predict(self, X: np.ndarray, return_embeddings: bool = False) -> np.ndarray:
            labels = self.predict_proba(X).argmax(axis=1)
            return (labels, X) if return_embeddings else labels

    classifier = Linear(classes=list(range(pool.num_classes)))
    classifier.classes_ = np.arange(pool.num_classes)
    return classifier


_RUNNERS = {
    "this project": run_ours,
    "authors": run_authors,
    "scikit-activeml": run_scikit_activeml,
    "scikit-learn": run_scikit_learn,
}

if __name__ == "__main__":
    sys.exit(main())
