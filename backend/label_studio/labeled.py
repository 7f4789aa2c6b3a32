"""The labeled images among a project's tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backend.label_studio.annotations import TaskState
from backend.label_studio.images import image_key


@dataclass(frozen=True)
class LabeledImage:
    """A labeled task that names its image. key: the image's. label: class index."""

    task_id: int
    uri: str
    key: str
    label: int


def labeled_images(tasks: Iterable[TaskState]) -> list[LabeledImage]:
    """The tasks that have a label and name an image, by id."""
    found = [
        LabeledImage(task.task_id, task.uri, image_key(task.uri), task.label)
        for task in tasks
        if task.label is not None and task.uri is not None
    ]
    return sorted(found, key=lambda image: image.task_id)


def once_each(images: list[LabeledImage]) -> list[LabeledImage]:
    """Every image once, with the first task that shows it: else it could be learned and held out.

    images: by task id.
    """
    first = {image.key: image for image in reversed(images)}
    return sorted(first.values(), key=lambda image: image.task_id)
