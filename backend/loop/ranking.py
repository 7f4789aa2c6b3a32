"""A round's selection: the embeddings of the pool in, the ranked batch and its reserve out.

Legend: N pool tasks, L labeled tasks, D embedding, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from backend.acquisition import Pool, Rule, Selection, budget_of, standardized_pool
from backend.label_studio import queue
from backend.label_studio.annotations import read_task
from backend.loop.round_context import Workbench
from backend.loop.snapshot import Snapshot
from backend.vision import Network
from model_store.journal import QueuedTask, RoundState


@dataclass(frozen=True, eq=False)
class Scores:
    """The network's answer for every image of the pool and of the labeled tasks."""

    image_keys: np.ndarray  # (N + L,) str
    probabilities: np.ndarray  # (N + L, K) float32


@dataclass(frozen=True, eq=False)
class Ranked:
    """Batch and reserve in rank order; `scores` is None before anything was trained."""

    tasks: list[QueuedTask]
    pool_size: int
    scores: Scores | None
    statistics: Mapping[str, Any] = field(default_factory=dict)


def rank(bench: Workbench, state: RoundState) -> Ranked:
    """Select from what can be read and is still unlabeled, by the round's strategy."""
    snapshot = bench.snapshot(state)
    network = bench.network(state)
    pool_rows, labeled_rows = _usable_rows(bench, state, snapshot)
    embeddings = _embeddings(bench, network, snapshot, pool_rows)
    labeled = _embeddings(bench, network, snapshot, labeled_rows)
    scores = _scores(network, snapshot, pool_rows, labeled_rows, embeddings, labeled)
    if len(pool_rows) == 0:
        return Ranked([], 0, scores)
    pool = standardized_pool(
        embeddings,
        labeled,
        snapshot.labels[labeled_rows],
        len(state.classes),
        network.head,
        snapshot.task_ids[pool_rows],
    )
    selection = _select(bench, state, pool)
    tasks = _queued(state, selection, snapshot.task_ids[pool_rows])
    if scores is not None:
        chosen = np.concatenate([selection.rows, selection.reserve_rows]).astype(int)
        tasks = _preselected(tasks, scores.probabilities[chosen], state)
    return Ranked(tasks, len(pool_rows), scores, selection.statistics)


def _usable_rows(
    bench: Workbench, state: RoundState, snapshot: Snapshot
) -> tuple[np.ndarray, np.ndarray]:
    """Snapshot rows of the pool and of the labeled tasks whose embeddings could be made."""
    keys = snapshot.image_keys.tolist()
    missing = set(bench.stores().embeddings.missing(state.features_version or "", keys))
    is_readable = np.array([key not in missing for key in keys], dtype=bool)
    # Annotators went on with the reserve while the round trained: that is no longer pool.
    is_done = np.isin(snapshot.task_ids, list(_done_meanwhile(bench, state)))
    pool_rows = np.flatnonzero(snapshot.in_pool & is_readable & ~is_done)
    return pool_rows, np.flatnonzero(snapshot.labeled & is_readable)


def _done_meanwhile(bench: Workbench, state: RoundState) -> set[int]:
    previous = bench.journal.published_round(state.key)
    if previous is None:
        return set()
    task_ids = [task.task_id for task in bench.journal.queue(previous)]
    tasks = bench.client.selected_tasks(bench.project.id, task_ids)
    states = [read_task(task, bench.config) for task in tasks]
    return {task.task_id for task in states if task.is_done or task.is_skipped}


def _embeddings(
    bench: Workbench, network: Network, snapshot: Snapshot, rows: np.ndarray
) -> np.ndarray:
    keys = snapshot.image_keys[rows].tolist()
    if not keys:
        return np.empty((0, bench.session.embedding_dim), dtype=np.float32)
    return bench.stores().embeddings.read(network.version, keys)


def _scores(
    network: Network,
    snapshot: Snapshot,
    pool_rows: np.ndarray,
    labeled_rows: np.ndarray,
    embeddings: np.ndarray,
    labeled: np.ndarray,
) -> Scores | None:
    if network.head is None:
        return None
    keys = snapshot.image_keys[np.concatenate([pool_rows, labeled_rows])]
    parts = [network.head.probabilities(part) for part in (embeddings, labeled)]
    return Scores(keys, np.concatenate(parts))


def _select(bench: Workbench, state: RoundState, pool: Pool) -> Selection:
    settings = bench.settings
    budget = budget_of(settings, len(state.classes))
    generator = np.random.default_rng([settings.seed, state.number])
    rule = Rule(state.strategy, settings.cold_start, settings.epsilon)
    return rule.choose(pool, budget, generator, reserve=budget)


def _queued(state: RoundState, selection: Selection, task_ids: np.ndarray) -> list[QueuedTask]:
    rows = np.concatenate([selection.rows, selection.reserve_rows]).astype(int)
    clusters = np.concatenate([selection.clusters, selection.reserve_clusters])
    return [
        QueuedTask(
            rank=rank,
            task_id=int(task_ids[row]),
            cluster=queue.cluster_id(state.number, int(cluster)),
            score=rank / len(rows),
            is_reserve=rank >= len(selection.rows),
            class_name=None,
            probability=None,
        )
        for rank, (row, cluster) in enumerate(zip(rows, clusters, strict=True))
    ]


def _preselected(
    tasks: list[QueuedTask], probabilities: np.ndarray, state: RoundState
) -> list[QueuedTask]:
    labels = probabilities.argmax(axis=1)
    return [
        replace(task, class_name=state.classes[int(label)], probability=float(row[label]))
        for task, label, row in zip(tasks, labels, probabilities, strict=True)
    ]
