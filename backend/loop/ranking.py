"""A round's choice: the labels and the embeddings at hand in, the ranked pool out.

The head is fitted anew on the embeddings that are kept, which takes seconds whatever is fine-tuned
behind the queue.

Legend: T tasks, N pool tasks, L labeled tasks, D embedding, K classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from backend.acquisition import Rule, Selection, budget_of, has_two_classes, standardized_pool
from backend.errors import StoreError, WeightsError
from backend.loop.context import ProjectContext
from backend.loop.snapshot import Snapshot, take_snapshot
from backend.vision import ADAM, LinearHead, Network, Trained
from model_store.journal import RoundState
from model_store.rankings import Ranking
from model_store.scores import Scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Choice:
    """What a round chose. trained, scores: None where fewer than two classes have a label."""

    ranking: Ranking
    trained: Trained | None
    scores: Scores | None
    statistics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Snapshot rows whose embeddings are kept: of the pool, and of the labeled tasks."""

    pool: np.ndarray
    labeled: np.ndarray


def choose(context: ProjectContext, state: RoundState) -> Choice:
    """The pool ranked by the round's strategy, as far as it was embedded."""
    snapshot = take_snapshot(context)
    network = _network(context, state)
    rows = _embedded_rows(context, network, snapshot)
    embeddings = _read(context, network, snapshot, rows.pool)
    labeled = _read(context, network, snapshot, rows.labeled)
    labels = snapshot.labels[rows.labeled]
    started = time.monotonic()
    trained = _fit_head(context, state, network, labeled, labels)
    head_s = round(time.monotonic() - started, 3)
    scores = _scores(trained, snapshot, rows, embeddings, labeled)
    if len(rows.pool) == 0:
        nothing = np.empty(0, dtype=np.int64)
        return Choice(Ranking(nothing, nothing), trained, scores)
    pool = standardized_pool(
        embeddings,
        labeled,
        labels,
        len(state.classes),
        None if trained is None else trained.head,
        snapshot.task_ids[rows.pool],
    )
    budget = budget_of(context.settings, len(state.classes))
    generator = np.random.default_rng([context.settings.seed, state.number])
    rule = replace(Rule.of(context.settings), strategy=state.strategy)
    selection = rule.choose(pool, budget, generator)
    ranking = _ranking(selection, snapshot.task_ids[rows.pool], trained, embeddings)
    ranking = _shared_first(context, ranking)
    statistics = {**selection.statistics, **_trained_statistics(trained), "head_s": head_s}
    return Choice(ranking, trained, scores, statistics)


def _network(context: ProjectContext, state: RoundState) -> Network:
    """The network that the round was opened on, or the pre-trained one where it is lost."""
    tuning = context.journal.tunings.get(state.key, state.tuning)
    try:
        return context.network(tuning)
    except (WeightsError, StoreError) as error:
        logger.warning("project %d: %s", context.project_id, error)
        return context.session.pretrained()


def _embedded_rows(context: ProjectContext, network: Network, snapshot: Snapshot) -> _Rows:
    keys = snapshot.image_keys.tolist()
    missing = set(context.stores().embeddings.missing(network.version, keys))
    is_kept = np.array([key not in missing for key in keys], dtype=bool)
    return _Rows(
        pool=np.flatnonzero(snapshot.in_pool & is_kept),
        labeled=np.flatnonzero(snapshot.is_labeled & is_kept),
    )


def _read(
    context: ProjectContext, network: Network, snapshot: Snapshot, rows: np.ndarray
) -> np.ndarray:
    """(n, D) float32 embeddings of n snapshot rows."""
    keys = snapshot.image_keys[rows].tolist()
    if not keys:
        return np.empty((0, context.session.embedding_dim), dtype=np.float32)
    return context.stores().embeddings.read(network.version, keys)


def _fit_head(
    context: ProjectContext,
    state: RoundState,
    network: Network,
    embeddings: np.ndarray,
    labels: np.ndarray,
) -> Trained | None:
    if not has_two_classes(labels):
        return None
    seed = context.settings.seed + state.number
    return context.session.fit_head(network, embeddings, labels, len(state.classes), seed)


def _scores(
    trained: Trained | None,
    snapshot: Snapshot,
    rows: _Rows,
    embeddings: np.ndarray,
    labeled: np.ndarray,
) -> Scores | None:
    if trained is None:
        return None
    keys = snapshot.image_keys[np.concatenate([rows.pool, rows.labeled])]
    parts = [trained.head.probabilities(part) for part in (embeddings, labeled)]
    return Scores.of(keys, np.concatenate(parts))


def _ranking(
    selection: Selection, task_ids: np.ndarray, trained: Trained | None, embeddings: np.ndarray
) -> Ranking:
    rows, mixing = selection.rows, selection.mixing
    columns: dict[str, np.ndarray] = {}
    if trained is not None:
        columns |= _predicted(trained.head, embeddings[rows])
    if mixing is not None:
        columns["critical_epsilons"] = mixing.critical_epsilons[rows].astype(np.float32)
        columns["is_candidate"] = mixing.is_candidate[rows]
        columns["flips_to"] = mixing.flips_to[rows].astype(np.int32)
    return Ranking(task_ids[rows], selection.clusters, **columns)


def _shared_first(context: ProjectContext, ranking: Ranking) -> Ranking:
    """The ranking in the order in which people are served, where the project prefers some tasks.

    With `show_overlap_first` Label Studio serves tasks for several annotators before all others,
    published or not.
    """
    project = context.client.project(context.project_id)
    if project is None or not project.shows_overlap_first:
        return ranking
    shared = context.client.shared_task_ids(context.project_id)
    return ranking.reordered(np.argsort(~np.isin(ranking.task_ids, shared), kind="stable"))


def _predicted(head: LinearHead, embeddings: np.ndarray) -> dict[str, np.ndarray]:
    probabilities = head.probabilities(embeddings)
    labels = probabilities.argmax(axis=1).astype(np.int32)
    return {"labels": labels, "probabilities": probabilities.max(axis=1).astype(np.float32)}


def _trained_statistics(trained: Trained | None) -> dict[str, Any]:
    if trained is None:
        return {}
    report = trained.report
    return {
        "train_accuracy": report.train_accuracy,
        "epochs": report.epochs,
        "loss": report.loss,
        "head": asdict(report.head) if report.head else {"kind": ADAM},
    }
