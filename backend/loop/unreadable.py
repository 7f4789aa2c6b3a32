"""Tasks whose image cannot be had: noted with the reason, left alone for a while, tried again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from backend.label_studio.wording import shown_uri
from backend.loop.context import ProjectContext
from backend.loop.snapshot import Snapshot
from model_store.journal import UnreadableTask

RETRY_S = 600.0
# So many are tried first: where none of them can be had, the others are left alone too.
PROBED = 20


def wanted(context: ProjectContext, snapshot: Snapshot, missing: Collection[str]) -> list[str]:
    """The image keys to try: those never tried, then a few of those that failed long enough ago.

    An image is due for another try after RETRY_S seconds, or when a later round was published.
    """
    failed = {task.task_id: task for task in context.journal.unreadable(context.key)}
    due = {task.task_id for task in _due(context, list(failed.values()))[:PROBED]}
    fresh, probes = set(), set()
    for task_id, key in zip(snapshot.task_ids.tolist(), snapshot.image_keys.tolist(), strict=True):
        if key not in missing:
            continue
        if task_id not in failed:
            fresh.add(key)
        elif task_id in due:
            probes.add(key)
    return [*sorted(fresh), *sorted(probes - fresh)]


def note(
    context: ProjectContext, snapshot: Snapshot, tried: set[str], reasons: Mapping[str, str]
) -> None:
    """Note which of the image keys that were tried could not be had, and why; the others can."""
    now = context.journal.now()
    failed = {task.task_id: task for task in context.journal.unreadable(context.key)}
    due = _due(context, list(failed.values()))
    sources = context.journal.tasks.sources(context.key, list(reasons))
    readable, found = [], []
    for task_id, key in zip(snapshot.task_ids.tolist(), snapshot.image_keys.tolist(), strict=True):
        if key in sources:
            uri = shown_uri(sources[key][0])
            found.append(UnreadableTask(task_id, uri, reasons[key], now))
        elif key in tried and task_id in failed:
            readable.append(task_id)
    was_probed = any(task.task_id in failed for task in found)
    others = due[PROBED:]
    if was_probed and not readable:
        found += [replace(task, tried_at=now) for task in others]
    elif readable:
        # Whatever was wrong is over: the others are tried like those never tried.
        readable += [task.task_id for task in others]
    context.journal.note_unreadable(context.key, found)
    context.journal.note_readable(context.key, readable)


def _due(context: ProjectContext, failed: list[UnreadableTask]) -> list[UnreadableTask]:
    """Those that may be tried again, the longest ago first."""
    published = context.journal.published_round(context.key)
    published_at = 0.0 if published is None else published.finished_at or 0.0
    now = context.journal.now()
    due = [
        task
        for task in failed
        if task.tried_at < published_at or not 0 <= now - task.tried_at < RETRY_S
    ]
    return sorted(due, key=lambda task: task.tried_at)
