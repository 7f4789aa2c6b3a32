"""One active-learning round, step by step: train, embed, select, publish, flip.

The journal names the step that comes next, and a step's result is on disk before the next begins:
a round that was interrupted anywhere goes on from its last finished step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backend.label_studio import queue
from backend.label_studio.annotations import choice_result
from backend.label_studio.label_config import ImageChoices
from backend.loop import ranking as selecting
from backend.loop.round_context import Workbench
from backend.loop.snapshot import Snapshot
from backend.vision import LabeledImages
from model_store.checkpoints import save_checkpoint
from model_store.embeddings import EmbeddingStore
from model_store.journal import QueuedTask, RoundState, UnreadableTask
from model_store.project_folder import write_table

logger = logging.getLogger(__name__)

KEPT_ROUNDS = 5
DONE = "done"


Step = Callable[[Workbench, RoundState], RoundState]


def run(bench: Workbench, state: RoundState) -> RoundState:
    """The round done, from the step that the journal names."""
    while state.phase != DONE:
        started = time.monotonic()
        phase = state.phase
        logger.info("project %s round %d: %s", bench.project.id, state.number, phase)
        state = STEPS[phase](bench, state)
        seconds = {**state.seconds, phase: round(time.monotonic() - started, 3)}
        state = bench.journal.update_round(state, seconds=seconds)
    return state


def train(bench: Workbench, state: RoundState) -> RoundState:
    """A new network version as a checkpoint, where at least two classes have a label."""
    snapshot = bench.snapshot(state)
    rows = np.flatnonzero(snapshot.labeled)
    if len(np.unique(snapshot.labels[rows])) < 2:
        return bench.journal.update_round(state, phase="embed")
    trained = bench.session.train(
        LabeledImages(snapshot.image_keys[rows].tolist(), snapshot.labels[rows]),
        num_classes=len(state.classes),
        seed=bench.settings.seed + state.number,
        load=bench.loader(snapshot),
        stores=bench.stores(),
        on_progress=bench.progress("train"),
    )
    card = {**trained.card, "classes": list(state.classes), "model_version": state.model_version}
    name = f"{state.number:05d}"
    path = save_checkpoint(bench.folder.checkpoints, name, trained.tensors, card)
    report = trained.report
    statistics = {
        **state.statistics,
        "train_accuracy": report.train_accuracy,
        "epochs": report.epochs,
        "loss": report.loss,
    }
    return bench.journal.update_round(
        state, phase="embed", checkpoint=path.name, statistics=statistics
    )


def embed(bench: Workbench, state: RoundState) -> RoundState:
    """The embeddings of the pool and of the labeled images under the round's network."""
    snapshot = bench.snapshot(state)
    network = bench.network(state)
    rows = np.flatnonzero(snapshot.in_pool | snapshot.labeled)
    report = bench.session.embed_pool(
        network,
        snapshot.image_keys[rows].tolist(),
        bench.loader(snapshot),
        bench.stores(),
        bench.progress("embed"),
    )
    _note_unreadable(bench, snapshot, report.unreadable)
    statistics = {**state.statistics, "embedded": report.computed}
    return bench.journal.update_round(
        state, phase="select", features_version=network.version, statistics=statistics
    )


def select_batch(bench: Workbench, state: RoundState) -> RoundState:
    """The batch and its reserve, ranked, with the class that the network gives each."""
    bench.progress("select")
    ranked = selecting.rank(bench, state)
    if ranked.scores is not None:
        _write_scores(bench, state, ranked.scores)
    bench.journal.set_queue(state, ranked.tasks)
    statistics = {**state.statistics, **ranked.statistics}
    return bench.journal.update_round(
        state, phase="publish", n_pool=ranked.pool_size, statistics=statistics
    )


def publish(bench: Workbench, state: RoundState) -> RoundState:
    """The predictions of batch and reserve in Label Studio, under the round's version."""
    tasks = [task for task in bench.journal.queue(state) if task.prediction_id is None]
    note = bench.progress("publish")
    published = 0

    def on_published(task_id: int, prediction_id: int | None) -> None:
        nonlocal published
        published += 1
        if prediction_id is not None:
            bench.journal.note_prediction(state, task_id, prediction_id)
        note(published, len(tasks))

    priorities = [
        queue.Priority(task.task_id, task.score, task.cluster, preselection(bench.config, task))
        for task in tasks
    ]
    queue.publish(bench.client, bench.project.id, state.model_version, priorities, on_published)
    return bench.journal.update_round(state, phase="flip")


def flip(bench: Workbench, state: RoundState) -> RoundState:
    """The project follows the round's version; what only older rounds needed is dropped."""
    if any(task.prediction_id is not None for task in bench.journal.queue(state)):
        queue.flip(bench.client, bench.project, state.model_version)
    _drop_old_files(bench, state)
    return bench.journal.update_round(state, phase=DONE, finished_at=bench.journal.now())


STEPS: Mapping[str, Step] = {
    "train": train,
    "embed": embed,
    "select": select_batch,
    "publish": publish,
    "flip": flip,
}


def preselection(config: ImageChoices, task: QueuedTask) -> list[dict[str, Any]]:
    """The prediction's regions: none without a class, or where the config lost it meanwhile."""
    if task.probability is None or task.class_name not in config.classes:
        return []
    return [choice_result(config, task.class_name, task.probability)]


def _write_scores(bench: Workbench, state: RoundState, scores: selecting.Scores) -> None:
    columns = {
        "image_key": scores.image_keys.tolist(),
        "label": scores.probabilities.argmax(axis=1).astype(np.int32),
        "probability": scores.probabilities.max(axis=1).astype(np.float32),
    }
    write_table(bench.folder.scores_file(state.number), columns)


def _note_unreadable(bench: Workbench, snapshot: Snapshot, reasons: Mapping[str, str]) -> None:
    known = [task for task in bench.journal.unreadable(bench.project.key) if not task.uri]
    now = bench.journal.now()
    found = [
        UnreadableTask(int(task_id), uri, reasons[str(key)], now)
        for task_id, uri, key in zip(
            snapshot.task_ids, snapshot.uris, snapshot.image_keys, strict=True
        )
        if str(key) in reasons
    ]
    bench.journal.set_unreadable(bench.project.key, known + found)


def _drop_old_files(bench: Workbench, state: RoundState) -> None:
    store = EmbeddingStore(bench.folder.embeddings)
    kept = {state.features_version, bench.session.pretrained().version}
    for version in store.versions():
        if version not in kept:
            store.drop_version(version)
    for pattern in (
        "checkpoints/*.safetensors",
        "rounds/*-tasks.parquet",
        "rounds/*-scores.parquet",
    ):
        for path in sorted(bench.folder.path.glob(pattern))[:-KEPT_ROUNDS]:
            path.unlink()
