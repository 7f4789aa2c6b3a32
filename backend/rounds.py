"""One active-learning round, step by step: train, embed, select, publish, flip.

The journal names the step that comes next, and a step's result is on disk before the next begins:
a round that was interrupted anywhere goes on from its last finished step. This is the one place
that calls vision, acquisition, the queue and the stores.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backend.acquisition import LinearHead, Pool, Selection, select
from backend.label_studio import queue
from backend.label_studio.annotations import choice_result, read_task
from backend.label_studio.client import LabelStudioClient, Project
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import ImageChoices
from backend.settings import Settings
from backend.snapshot import Snapshot, load_snapshot
from backend.vision import FeatureStores, LabeledImages, Network, VisionSession
from model_store.checkpoints import load_checkpoint, save_checkpoint
from model_store.embeddings import EmbeddingStore
from model_store.journal import Journal, QueuedTask, RoundState, UnreadableTask
from model_store.project_folder import ProjectFolder, write_table

logger = logging.getLogger(__name__)

LABELS_A_CLASS = 10
KEPT_CHECKPOINTS = 5
PROGRESS_EVERY_S = 0.5
DONE = "done"


@dataclass(frozen=True)
class Workbench:
    """All that the steps of one project's round work with."""

    settings: Settings
    journal: Journal
    client: LabelStudioClient
    fetcher: ImageFetcher
    session: VisionSession
    folder: ProjectFolder
    project: Project
    config: ImageChoices

    def stores(self) -> FeatureStores:
        """The project's embeddings and kept activations."""
        return FeatureStores(
            EmbeddingStore(self.folder.embeddings),
            EmbeddingStore(self.folder.activations, dtype="float16"),
        )

    def snapshot(self, state: RoundState) -> Snapshot:
        """The tasks as they were when the round began."""
        return load_snapshot(self.folder.tasks_file(state.number))

    def loader(self, snapshot: Snapshot) -> Callable[[str], bytes]:
        """Image key to image bytes."""
        sources = snapshot.sources()
        return lambda key: self.fetcher.fetch(*sources[key])

    def progress(self, phase: str) -> Callable[[int, int], None]:
        """A callback that notes a phase's progress, at most twice a second."""
        self.journal.set_phase(self.project.key, phase)
        noted_at = time.monotonic()

        def note(done: int, total: int) -> None:
            nonlocal noted_at
            if done >= total or time.monotonic() - noted_at >= PROGRESS_EVERY_S:
                noted_at = time.monotonic()
                self.journal.set_phase(self.project.key, phase, done, total)

        return note

    def network(self, state: RoundState) -> Network:
        """The round's network: its checkpoint's, or the pre-trained one before any training."""
        if state.checkpoint is None:
            return self.session.pretrained()
        checkpoint = load_checkpoint(self.folder.checkpoints / state.checkpoint)
        return self.session.restore(checkpoint.tensors, checkpoint.card)


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
        class_count=len(state.classes),
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
    snapshot = bench.snapshot(state)
    network = bench.network(state)
    pool_rows, labeled_rows = _readable_rows(bench, state, snapshot)
    embeddings = _embeddings(bench, network, snapshot, pool_rows)
    labeled = _embeddings(bench, network, snapshot, labeled_rows)
    pool = Pool(
        embeddings=embeddings,
        labeled_embeddings=labeled,
        labels=snapshot.labels[labeled_rows],
        num_classes=len(state.classes),
        head=None if network.head is None else LinearHead(network.head.weight, network.head.bias),
        ids=snapshot.task_ids[pool_rows],
    )
    probabilities = None
    if network.head is not None:
        rows = np.concatenate([pool_rows, labeled_rows])
        probabilities = network.head.probabilities(np.concatenate([embeddings, labeled]))
        _write_scores(bench, state, snapshot.image_keys[rows], probabilities)
    if len(pool_rows) == 0:
        bench.journal.set_queue(state, [])
        return bench.journal.update_round(state, phase="publish", n_pool=0)
    selection = _select(bench, state, pool)
    tasks = _queued(state, selection, snapshot.task_ids[pool_rows], probabilities)
    bench.journal.set_queue(state, tasks)
    statistics = {**state.statistics, **selection.statistics}
    return bench.journal.update_round(
        state, phase="publish", n_pool=len(pool_rows), statistics=statistics
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
        queue.Priority(task.task_id, task.score, task.cluster, _result(bench.config, task))
        for task in tasks
    ]
    queue.publish(bench.client, bench.project.id, state.model_version, priorities, on_published)
    return bench.journal.update_round(state, phase="flip")


def flip(bench: Workbench, state: RoundState) -> RoundState:
    """The project follows the round's version; what only older rounds needed is dropped."""
    if any(task.prediction_id is not None for task in bench.journal.queue(state)):
        queue.flip(bench.client, bench.project, state.model_version)
    _drop_old_features(bench, state)
    return bench.journal.update_round(state, phase=DONE, finished_at=bench.journal.now())


STEPS: Mapping[str, Step] = {
    "train": train,
    "embed": embed,
    "select": select_batch,
    "publish": publish,
    "flip": flip,
}


def _readable_rows(
    bench: Workbench, state: RoundState, snapshot: Snapshot
) -> tuple[np.ndarray, np.ndarray]:
    # Annotators went on with the reserve while the round trained: what they did is no longer pool.
    missing = set(
        bench.stores().embeddings.missing(
            state.features_version or "", snapshot.image_keys.tolist()
        )
    )
    readable = np.array([key not in missing for key in snapshot.image_keys.tolist()], dtype=bool)
    meanwhile = np.isin(snapshot.task_ids, list(_done_meanwhile(bench, state)))
    pool_rows = np.flatnonzero(snapshot.in_pool & readable & ~meanwhile)
    return pool_rows, np.flatnonzero(snapshot.labeled & readable)


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


def _select(bench: Workbench, state: RoundState, pool: Pool) -> Selection:
    budget = bench.settings.budget or LABELS_A_CLASS * len(state.classes)
    generator = np.random.default_rng([bench.settings.seed, state.number])
    options = {"epsilon": bench.settings.epsilon}
    return select(state.strategy, pool, budget, generator, reserve=budget, options=options)


def _queued(
    state: RoundState,
    selection: Selection,
    task_ids: np.ndarray,
    probabilities: np.ndarray | None,
) -> list[QueuedTask]:
    rows = np.concatenate([selection.rows, selection.reserve_rows]).astype(int)
    clusters = np.concatenate([selection.clusters, selection.reserve_clusters])
    tasks = [
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
    if probabilities is None:
        return tasks
    return [
        replace(
            task,
            class_name=state.classes[int(probabilities[row].argmax())],
            probability=float(probabilities[row].max()),
        )
        for task, row in zip(tasks, rows, strict=True)
    ]


def _result(config: ImageChoices, task: QueuedTask) -> list[dict[str, Any]]:
    if task.class_name is None or task.probability is None:
        return []
    return [choice_result(config, task.class_name, task.probability)]


def _write_scores(
    bench: Workbench, state: RoundState, image_keys: np.ndarray, probabilities: np.ndarray
) -> None:
    columns = {
        "image_key": image_keys.tolist(),
        "label": probabilities.argmax(axis=1).astype(np.int32),
        "probability": probabilities.max(axis=1).astype(np.float32),
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


def _drop_old_features(bench: Workbench, state: RoundState) -> None:
    store = EmbeddingStore(bench.folder.embeddings)
    kept = {state.features_version, bench.session.pretrained().version}
    for version in store.versions():
        if version not in kept:
            store.drop_version(version)
    checkpoints = sorted(bench.folder.checkpoints.glob("*.safetensors"))
    for path in checkpoints[:-KEPT_CHECKPOINTS]:
        path.unlink()
