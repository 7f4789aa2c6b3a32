"""Where images come from: a folder, an IDX file, a Label Studio project."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from backend.errors import ImageError, PretrainingError
from backend.label_studio.annotations import read_task
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import parse_label_config
from backend.label_studio.wording import shown_uri
from backend.pretraining.idx import read_idx_images, read_idx_labels
from backend.pretraining.images import (
    ImageSet,
    ImageSource,
    LabeledSample,
    SkippedImage,
    read_images,
)
from backend.settings import Settings

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2"}
    | {".pgm", ".ppm"}
)


def read_path(path: Path, image_px: int) -> ImageSet:
    """Every image below a folder, or of an IDX file (which keep their own size).

    Raises:
        PretrainingError: there is neither.
    """
    if path.is_dir():
        return read_images(folder_sources(path), image_px)
    if path.is_file():
        return ImageSet(read_idx_images(path))
    raise PretrainingError(f"{path} does not exist; needed is a folder of images or an IDX file")


def folder_sources(folder: Path) -> list[ImageSource]:
    """The image files below `folder`, sorted, so that a run that goes on sees the same order."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    return [ImageSource(str(path), partial(_bytes_of, path)) for path in paths]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def read_project(settings: Settings, project_id: int, image_px: int) -> ImageSet:
    """The images of a Label Studio project's tasks, labeled or not.

    Raises:
        PretrainingError: there is no such project.
        LabelStudioError: Label Studio cannot be asked.
        LabelConfigError: the project is of another kind.
    """
    client = LabelStudioClient(settings.label_studio_url, settings.label_studio_api_key)
    project = client.project(project_id)
    if project is None:
        raise PretrainingError(
            f"{shown_uri(settings.label_studio_url)} has no project {project_id}"
        )
    config = parse_label_config(project.label_config)
    tasks = sorted(
        (read_task(task, config) for task in client.tasks(project_id)), key=lambda t: t.task_id
    )
    without = tuple(SkippedImage(f"task {t.task_id}", str(t.problem)) for t in tasks if not t.uri)
    fetcher = ImageFetcher(
        settings.label_studio_url, client.authorization, image_hosts=settings.image_hosts
    )
    sources = [
        ImageSource(f"task {t.task_id}", partial(fetcher.fetch, t.uri, t.task_id))
        for t in tasks
        if t.uri
    ]
    try:
        found = read_images(sources, image_px)
    finally:
        fetcher.close()
    return ImageSet(found.pixels, without + found.skipped)


def read_sample(images: Path, labels: Path | None, count: int, image_px: int) -> LabeledSample:
    """The labeled images that k-NN accuracy is measured on: `count` of them at most.

    Args:
        images: a folder whose subfolders are the classes, or an IDX file of images.
        labels: the IDX file of labels that belongs to the latter.

    Raises:
        PretrainingError: they do not belong together or hold fewer than two classes.
    """
    if labels is None:
        sample = _class_folders(images, count, image_px)
    else:
        sample = _idx_sample(images, labels, count)
    if len(np.unique(sample.labels)) < 2:
        raise PretrainingError(f"{images} has images of fewer than two classes; needed are two")
    return sample


def _idx_sample(images: Path, labels: Path, count: int) -> LabeledSample:
    """The first `count`: these files are shuffled already."""
    pixels, numbers = read_idx_images(images), read_idx_labels(labels)
    if len(pixels) != len(numbers):
        raise PretrainingError(
            f"{images} holds {len(pixels)} images and {labels} {len(numbers)} labels"
        )
    return LabeledSample(pixels[:count], numbers[:count])


def _class_folders(folder: Path, count: int, image_px: int) -> LabeledSample:
    """`count` images spread evenly over the class folders' images."""
    if not folder.is_dir():
        raise PretrainingError(f"{folder} is no folder of class folders; an IDX file needs labels")
    named = [
        (label, source)
        for label, path in enumerate(sorted(p for p in folder.iterdir() if p.is_dir()))
        for source in folder_sources(path)
    ]
    rows = np.linspace(0, len(named) - 1, min(count, len(named))).astype(int)
    found = [(named[row][0], read_images([named[row][1]], image_px).pixels) for row in rows]
    labels = np.repeat([label for label, _ in found], [len(part) for _, part in found])
    empty = torch.empty(0, 3, image_px, image_px, dtype=torch.uint8)
    return LabeledSample(torch.cat([empty, *(part for _, part in found)]), labels)
