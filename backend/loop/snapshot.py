"""A project's tasks as they were when a round began: what it trains on and selects from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.label_studio.annotations import TaskState
from backend.label_studio.images import image_key
from model_store.project_folder import read_table, write_table


@dataclass(frozen=True, eq=False)
class Snapshot:
    """T tasks, by id: `labels` holds -1 where there is none; a pool task is neither done nor
    skipped."""

    task_ids: np.ndarray  # (T,) int64
    uris: list[str]  # (T,)
    image_keys: np.ndarray  # (T,) str, 32 hex digits
    labels: np.ndarray  # (T,) int64
    in_pool: np.ndarray  # (T,) bool

    @property
    def labeled(self) -> np.ndarray:
        """(T,) bool: the tasks to train on."""
        return self.labels >= 0

    def sources(self) -> dict[str, tuple[str, int]]:
        """URI and one task id of every image key."""
        triples = zip(self.image_keys, self.uris, self.task_ids, strict=True)
        return {str(key): (uri, int(task_id)) for key, uri, task_id in triples}


def take_snapshot(tasks: Iterable[TaskState]) -> Snapshot:
    """The snapshot of those tasks that name an image."""
    named = sorted((task for task in tasks if task.uri is not None), key=lambda task: task.task_id)
    return Snapshot(
        task_ids=np.array([task.task_id for task in named], dtype=np.int64),
        uris=[task.uri or "" for task in named],
        image_keys=np.array([image_key(task.uri or "") for task in named], dtype="U32"),
        labels=np.array(
            [-1 if task.label is None else task.label for task in named], dtype=np.int64
        ),
        in_pool=np.array([not (task.is_done or task.is_skipped) for task in named], dtype=bool),
    )


def save_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot; the image keys follow from the URIs."""
    columns = {
        "task_id": snapshot.task_ids,
        "uri": snapshot.uris,
        "label": snapshot.labels,
        "in_pool": snapshot.in_pool,
    }
    write_table(path, columns)


def load_snapshot(path: Path) -> Snapshot:
    """A snapshot that `save_snapshot` wrote. StoreError: missing or damaged."""
    table = read_table(path)
    uris = table["uri"].to_pylist()
    return Snapshot(
        task_ids=table["task_id"].to_numpy(),
        uris=uris,
        image_keys=np.array([image_key(uri) for uri in uris], dtype="U32"),
        labels=table["label"].to_numpy(),
        in_pool=table["in_pool"].to_numpy(zero_copy_only=False),
    )
