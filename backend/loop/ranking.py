"""A round's choice: the labels and the embeddings at hand in, the ranked pool out.

The head is fitted anew on the embeddings that are kept, which takes seconds whatever is fine-tuned
behind the queue.

Legend: T tasks, N pool tasks, L labeled tasks, D embedding, K classes.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from backend.acquisition import (
    Pool,
    Rule,
    Selection,
    audit_size,
    has_two_classes,
    mix_in,
    reasons_of,
    standardized_pool,
)
from backend.errors import StoreError, WeightsError
from backend.loop.context import ProjectContext
from backend.loop.snapshot import Snapshot, take_snapshot
from backend.vision import ADAM, LinearHead, Network, Trained
from model_store.audits import Draw
from model_store.journal import RoundState
from model_store.rankings import Ranking
from model_store.reasons import TaskReasons
from model_store.scores import Scores

logger = logging.getLogger(__name__)

# So many tasks are explained at least: whoever looks sees what comes after a small batch, too.
EXPLAINED = 200
# Beside the seed and the round's number: the audit draws whatever the strategy chose.
OF_THE_AUDIT = 1


@dataclass(frozen=True, eq=False)
class Choice:
    """What a round chose.

    features_version: names the embeddings in the store that it was chosen by. trained, scores: None
    where fewer than two classes have a label. reasons: None where there was nothing to choose from.
    draws: tasks of the ranking that were drawn at random.
    """

    features_version: str
    ranking: Ranking
    trained: Trained | None
    scores: Scores | None
    reasons: TaskReasons | None = None
    draws: Sequence[Draw] = ()
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
        return Choice(network.version, Ranking(nothing, nothing), trained, scores)
    pool = standardized_pool(
        embeddings,
        labeled,
        labels,
        len(state.classes),
        None if trained is None else trained.head,
        snapshot.task_ids[rows.pool],
    )
    drawn = _drawn(context, state, pool)
    budget = max(1, context.settings.labels_a_round(len(state.classes)) - len(drawn))
    generator = np.random.default_rng([context.settings.seed, state.number])
    rule = replace(Rule.of(context.settings), strategy=state.strategy)
    selection = rule.choose(pool, budget, generator)
    labeled_ids = snapshot.task_ids[rows.labeled]
    reasons = _reasons(pool, selection, labeled_ids, max(EXPLAINED, 2 * budget))
    ranking = _ranking(selection, pool.ids, trained, embeddings)
    ranking = _shared_first(context, _with_audit(context, state, ranking, pool.ids[drawn]))
    draws = [] if trained is None else _draws(state, trained, pool, embeddings, drawn)
    statistics = {**selection.statistics, **_trained_statistics(trained), "head_s": head_s}
    statistics |= {"drawn_at_random": len(drawn)}
    return Choice(network.version, ranking, trained, scores, reasons, draws, statistics)


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


def _drawn(context: ProjectContext, state: RoundState, pool: Pool) -> np.ndarray:
    """(A,) pool rows that measure the round's head, drawn from all; none where there is no head."""
    if pool.head is None:
        return np.empty(0, dtype=np.int64)
    generator = np.random.default_rng([context.settings.seed, state.number, OF_THE_AUDIT])
    budget = context.settings.labels_a_round(len(state.classes))
    size = audit_size(budget, context.settings.audit, generator)
    return generator.choice(len(pool.ids), size=min(size, len(pool.ids)), replace=False)


def _with_audit(
    context: ProjectContext, state: RoundState, ranking: Ranking, drawn_ids: np.ndarray
) -> Ranking:
    """The ranking with the drawn tasks in the part of the batch that is labeled before the next.

    Each is a cluster of its own: it would come later, were it another of a cluster that was served.
    """
    if len(drawn_ids) == 0:
        return ranking
    generator = np.random.default_rng([context.settings.seed, state.number, OF_THE_AUDIT])
    batch = context.settings.labels_a_round(len(state.classes))
    within = math.ceil(batch * context.settings.lookahead)
    drawn = np.flatnonzero(np.isin(ranking.task_ids, drawn_ids))
    ranks = mix_in(np.arange(len(ranking)), drawn, within, generator)
    mixed = ranking.reordered(ranks)
    is_drawn = np.isin(mixed.task_ids, drawn_ids)
    clusters = mixed.clusters.copy()
    # Whoever labeled one of a cluster is served all others first: each of the batch has its own,
    # also what moved up because a choice of the strategy's was drawn.
    _, first = np.unique(clusters[:batch], return_index=True)
    is_alone = is_drawn.copy()
    is_alone[:batch] |= ~np.isin(np.arange(len(is_alone[:batch])), first)
    clusters[is_alone] = batch + np.arange(is_alone.sum())
    return replace(mixed, clusters=clusters, is_drawn=is_drawn)


def _draws(
    state: RoundState, trained: Trained, pool: Pool, embeddings: np.ndarray, drawn: np.ndarray
) -> list[Draw]:
    probabilities = trained.head.probabilities(embeddings[drawn])
    return [
        Draw(
            task_id=int(pool.ids[row]),
            n_labeled=len(pool.labels),
            share=len(drawn) / len(pool.ids),
            probabilities={
                name: round(float(value), 6)
                for name, value in zip(state.classes, given, strict=True)
            },
        )
        for row, given in zip(drawn, probabilities, strict=True)
    ]


def _reasons(pool: Pool, selection: Selection, labeled_ids: np.ndarray, count: int) -> TaskReasons:
    found = reasons_of(pool, selection, count)
    has_labeled = found.nearest_labeled >= 0
    nearest = np.full(len(has_labeled), -1)
    nearest[has_labeled] = labeled_ids[found.nearest_labeled[has_labeled]]
    return TaskReasons(
        task_ids=pool.ids[selection.rows[:count]],
        cluster_sizes=found.cluster_sizes,
        nearest_labeled=nearest,
        similarities=found.similarities,
        anchors=found.anchors.astype(np.int32),
    )


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
