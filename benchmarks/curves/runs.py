"""Running what is not in the file yet: several processes of one thread each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from backend.acquisition import Rule
from backend.errors import AlfaMixError
from backend.replay import replay
from backend.settings import Settings
from benchmarks.curves.bench import Place, Stage, rule, stage, warm
from benchmarks.curves.data import DataError
from benchmarks.curves.oracle import ORACLE, BestOfStrategies, has_oracle
from benchmarks.curves.rows import Row, append_rows, read_rows
from benchmarks.curves.settings import Setting

FIRST_SEEDS = 5


@dataclass(frozen=True)
class Run:
    """One learning curve to compute."""

    setting: Setting
    strategy: str
    seed: int


def missing(settings: Sequence[Setting], strategies: Sequence[str] | None, file: Path) -> list[Run]:
    """The runs that the file lacks: the first five seeds of every setting, then the rest.

    So a run that is stopped early leaves something to compare in all settings. The oracle runs only
    where `strategies` names it.
    """
    done = {(row.setting, row.strategy, row.seed) for row in read_rows(file)}
    found = [
        Run(setting, strategy, seed)
        for setting in settings
        for seed in range(setting.seeds)
        for strategy in _wanted(setting, strategies)
        if (setting.name, strategy, seed) not in done
    ]
    return sorted(found, key=lambda run: run.seed >= FIRST_SEEDS)


def _wanted(setting: Setting, strategies: Sequence[str] | None) -> list[str]:
    if strategies is None:
        return list(setting.strategies)
    known = (*setting.strategies, ORACLE) if has_oracle(setting) else setting.strategies
    return [strategy for strategy in known if strategy in strategies]


def execute(runs: Sequence[Run], place: Place, file: Path, jobs: int) -> None:
    """Compute `runs` and append each to the file when it ends; a progress bar tells the time left.

    Interrupted, it leaves whole runs; the same call goes on with the others.
    """
    for setting in dict.fromkeys(run.setting for run in runs):
        warm(setting, place)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(jobs, context, _set_up_process) as pool,
        tqdm(total=len(runs), unit="run", smoothing=0.05, dynamic_ncols=True) as bar,
    ):
        try:
            for rows in _results(pool, runs, place):
                append_rows(file, rows)
                bar.set_postfix_str(f"{rows[0].setting}, {rows[0].strategy}")
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()  # nobody waits for a run that is not kept
            raise


def _set_up_process() -> None:
    # Processes side by side whose libraries each take all cores wait for each other.
    torch.set_num_threads(1)
    threadpool_limits(1)
    # Ctrl-C reaches the whole terminal; the parent ends its processes itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed ends nothing: its processes would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _results(pool: ProcessPoolExecutor, runs: Sequence[Run], place: Place) -> Iterator[list[Row]]:
    """The rows of each run when it ends. DataError: one failed; names it."""
    futures = {pool.submit(run_rows, run, place): run for run in runs}
    for future in as_completed(futures):
        try:
            yield future.result()
        except (AlfaMixError, BrokenExecutor) as error:
            run = futures[future]
            raise DataError(
                f"{run.setting.name}, {run.strategy}, seed {run.seed} failed: {error}"
            ) from error


def run_rows(run: Run, place: Place) -> list[Row]:
    """The rows of one run."""
    ready = stage(run.setting, run.seed, place)
    rounds = replay(ready.learner, ready.truth, ready.plan, _chooser(run, ready), run.seed)
    return [
        Row(
            run.setting.name,
            run.strategy,
            run.seed,
            found.number,
            found.n_labeled,
            found.accuracy,
            found.train_s,
            found.select_s,
            run.setting.head,
            sum(found.class_counts[label] for label in ready.rare),
            found.n_labeled - sum(found.class_counts),
        )
        for found in rounds
    ]


def _chooser(run: Run, ready: Stage) -> Rule | BestOfStrategies:
    if run.strategy == ORACLE:
        return BestOfStrategies(ready.learner, ready.truth, Rule.of(Settings()))
    return rule(run.setting, run.strategy)
