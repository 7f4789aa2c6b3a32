"""The labels a project has: read, without those that cannot be used, and counted.

Legend: L labeled images, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from backend.errors import BacktestError
from backend.label_studio.annotations import TaskState, read_task
from backend.label_studio.client import LabelStudioClient, Project
from backend.label_studio.label_config import parse_label_config
from backend.label_studio.labeled import labeled_images, once_each

MINIMUM_LABELS = 100
MINIMUM_A_CLASS = 5


@dataclass(frozen=True)
class LeftOut:
    """A labeled task that cannot be used, and why."""

    task_id: int
    reason: str


@dataclass(frozen=True, eq=False)
class LabeledProject:
    """A project's labeled images, one row an image, by task id.

    without: classes that the admin leaves out; their images are no rows.
    repeated: labeled tasks that show an image which an earlier task shows too.
    """

    project_id: int
    title: str
    classes: tuple[str, ...]  # K, in the label config's order
    task_ids: np.ndarray  # (L,) int64
    uris: list[str]  # (L,)
    image_keys: list[str]  # (L,)
    labels: np.ndarray  # (L,) int64 in [0, K)
    without: frozenset[str]
    repeated: int
    left_out: tuple[LeftOut, ...]

    def rows(self, rows: Sequence[int], left_out: Iterable[LeftOut]) -> LabeledProject:
        """The project with these rows only, and more tasks left out."""
        return replace(
            self,
            task_ids=self.task_ids[rows],
            uris=[self.uris[row] for row in rows],
            image_keys=[self.image_keys[row] for row in rows],
            labels=self.labels[rows],
            left_out=(*self.left_out, *left_out),
        )

    def without_unreadable(self, reasons: dict[str, str]) -> LabeledProject:
        """The project without the images that `reasons` names by key."""
        left_out = [
            LeftOut(int(task_id), reasons[key])
            for task_id, key in zip(self.task_ids, self.image_keys, strict=True)
            if key in reasons
        ]
        kept = [row for row, key in enumerate(self.image_keys) if key not in reasons]
        return self.rows(kept, left_out)


def read_labels(
    client: LabelStudioClient, project_id: int, without: Collection[str] = ()
) -> LabeledProject:
    """The project's labeled images; annotators who disagree are settled as in a round.

    Raises:
        BacktestError: there is no such project, or no such class to leave out.
        LabelConfigError, LabelStudioError: as the label config and the client say.
    """
    project = client.project(project_id)
    if project is None:
        raise BacktestError(
            f"{client.url} has no project {project_id} that the token's user may see"
        )
    config = parse_label_config(project.label_config)
    _check_without(without, config.classes)
    tasks = (read_task(task, config) for task in client.tasks(project_id))
    labeled = _labeled(tasks, config.classes, without)
    return _labeled_project(project, config.classes, labeled, frozenset(without))


def check_enough(project: LabeledProject) -> None:
    """BacktestError: fewer than 100 labels, or a class with fewer than 5; says what is missing."""
    missing = [*_missing_labels(project), *_missing_in_classes(project)]
    if missing:
        raise BacktestError(
            f"it is too early to backtest project {project.project_id}: {'; '.join(missing)}"
        )


def _check_without(without: Collection[str], classes: tuple[str, ...]) -> None:
    for name in without:
        if name not in classes:
            raise BacktestError(
                f"--without {name!r}: the label config has no such class; "
                f"it has {', '.join(classes)}"
            )
    kept = [name for name in classes if name not in without]
    if len(kept) < 2:
        raise BacktestError(
            f"--without leaves {len(kept)} of {len(classes)} classes; needed are two or more"
        )


def _missing_labels(project: LabeledProject) -> list[str]:
    count = len(project.labels)
    if count >= MINIMUM_LABELS:
        return []
    return [
        f"it has {count} usable labels, needed are {MINIMUM_LABELS} ({MINIMUM_LABELS - count} more)"
    ]


def _missing_in_classes(project: LabeledProject) -> list[str]:
    counts = np.bincount(project.labels, minlength=len(project.classes))
    few = [
        f"{name!r} has {count} ({MINIMUM_A_CLASS - count} more)"
        for name, count in zip(project.classes, counts, strict=True)
        if count < MINIMUM_A_CLASS and name not in project.without
    ]
    if not few:
        return []
    return [
        f"every class needs {MINIMUM_A_CLASS} labels or more, but {', '.join(few)}; label these, "
        "or leave a class out with --without CLASS"
    ]


def _labeled_project(
    project: Project,
    classes: tuple[str, ...],
    labeled: list[tuple[TaskState, int]],
    without: frozenset[str],
) -> LabeledProject:
    named = labeled_images(task for task, _ in labeled)
    images = once_each(named)
    return LabeledProject(
        project_id=project.id,
        title=project.title,
        classes=classes,
        task_ids=np.array([image.task_id for image in images], dtype=np.int64),
        uris=[image.uri for image in images],
        image_keys=[image.key for image in images],
        labels=np.array([image.label for image in images], dtype=np.int64),
        without=without,
        repeated=len(named) - len(images),
        left_out=tuple(
            LeftOut(task.task_id, str(task.problem)) for task, _ in labeled if task.uri is None
        ),
    )


def _labeled(
    tasks: Iterable[TaskState], classes: tuple[str, ...], without: Collection[str]
) -> list[tuple[TaskState, int]]:
    """The tasks with a label of a class that is not left out, by id, each with that label."""
    found = [
        (task, task.label)
        for task in tasks
        if task.label is not None and classes[task.label] not in without
    ]
    return sorted(found, key=lambda pair: pair[0].task_id)
