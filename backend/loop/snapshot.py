"""A project's tasks at one moment, as arrays: what a round chooses from and a network trains on.

Legend: T tasks with an image, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from backend.label_studio.images import by_key
from backend.loop.context import ProjectContext


@dataclass(frozen=True, eq=False)
class Snapshot:
    """T tasks, by id; a pool task is neither done nor skipped.

    `labels` means something only where `is_labeled`. label_changes, unembedded: the project's, by
    then.
    """

    task_ids: np.ndarray  # (T,) int64
    image_keys: np.ndarray  # (T,) str, 32 hex digits
    is_labeled: np.ndarray  # (T,) bool: the tasks to train on
    labels: np.ndarray  # (T,) int64 in [0, K)
    in_pool: np.ndarray  # (T,) bool
    label_changes: int = 0
    unembedded: int | None = None

    @property
    def is_needed(self) -> np.ndarray:
        """(T,) bool: the tasks whose embedding is needed."""
        return self.in_pool | self.is_labeled


def take_snapshot(context: ProjectContext) -> Snapshot:
    """The tasks as the mirror has them now, with the classes of the context's label config."""
    project = context.journal.project(context.key)
    assert project is not None
    columns = context.journal.tasks.columns(context.key)
    index = {name: number for number, name in enumerate(context.config.classes)}
    names = columns["class_name"]
    is_labeled = np.array([name in index for name in names], dtype=bool)
    return Snapshot(
        task_ids=columns["task_id"],
        image_keys=np.array(columns["image_key"], dtype="U32"),
        is_labeled=is_labeled,
        labels=np.array([index.get(name, 0) for name in names], dtype=np.int64),
        in_pool=~columns["is_done"] & ~columns["is_skipped"],
        label_changes=project.label_changes,
        unembedded=project.unembedded,
    )


def loader(context: ProjectContext, keys: Sequence[str]) -> Callable[[str], bytes]:
    """Image key to image bytes, for the named keys."""
    # An image that no task has any more has no address either.
    sources = dict.fromkeys(keys, ("", 0)) | context.journal.tasks.sources(context.key, keys)
    return by_key(context.fetcher.fetch, sources)
