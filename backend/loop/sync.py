"""Reads what changed in Label Studio into the journal's mirror.

The first reading goes page by page in an order that spreads over the project, a few pages at a
time, so that a first batch can be chosen from what is read so far. From then on only what changed
is read. Tasks that were deleted show in the project's count; then the ids are compared. After a
change of the label config all are read again, as where annotations are lacking for long, say since
Label Studio's clock was set back; what is known stays meanwhile.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from backend.label_studio.annotations import read_task
from backend.label_studio.images import image_key
from backend.label_studio.label_config import ImageChoices
from backend.loop.context import ProjectContext
from model_store.task_mirror import MirroredTask, Reading

logger = logging.getLogger(__name__)

PAGE_TASKS = 1000
# The first reading lets go for other work after this long.
READ_FOR_S = 2.0
# A change may become visible after one that carries a later moment: transactions end out of order.
OVERLAP = timedelta(seconds=10)
SETTLED_AFTER_S = 20.0
# Stands for a newest change after which a pass with overlap found nothing more.
SETTLED = 0.0
# An import of so many tasks is read sooner by pages.
MANY_CHANGES = 5000
COMPARE_EVERY_S = 6 * 3600.0
# The project's count is looked at now and then only, so it may lag behind for a while.
DISAGREE_FOR_S = 60.0
# Where annotations are still lacking after all tasks were read, they are not read again sooner.
READ_AGAIN_AFTER_S = 600.0
BEFORE_ALL = "1970-01-01T00:00:00.000000Z"


def read_changes(context: ProjectContext) -> None:
    """Bring what the mirror holds up to date."""
    tasks, key = context.journal.tasks, context.key
    reading = tasks.reading(key)
    is_begun = reading.newest_change and reading.config == _config(context)
    reading = _read_changed(context, reading) if is_begun else _begin(context)
    tasks.set_reading(key, _read_again_if_lacking(context, reading))


def read_pages(context: ProjectContext) -> bool:
    """Go on with the first reading, for READ_FOR_S seconds or until somebody labels.

    One page is read at least; whether there was one to read.
    """
    tasks, key = context.journal.tasks, context.key
    reading = tasks.reading(key)
    if reading.is_whole:
        return False
    started, events = time.monotonic(), _events(context)
    while not reading.is_whole:
        reading = _read_page(context, reading)
        tasks.set_reading(key, reading)
        if time.monotonic() - started >= READ_FOR_S or _events(context) != events:
            break
    return True


def compare(context: ProjectContext) -> None:
    """Find tasks that were deleted, or missed, where the counts disagree or it is time to look.

    It may take long, and is not urgent: what was deleted from under the queue is found sooner.
    """
    tasks, key, now = context.journal.tasks, context.key, context.journal.now()
    reading = tasks.reading(key)
    since_s = now - reading.compared_at
    if not reading.is_whole or 0 <= since_s < DISAGREE_FOR_S:
        return
    if 0 <= since_s < COMPARE_EVERY_S and _counts_agree(context):
        return
    known = set(tasks.ids(key))
    found = set(context.client.task_ids(context.project_id))
    # Only what was known before: what came meanwhile is not among those that were found.
    tasks.remove(key, sorted(known - found))
    lacking = sorted(found - set(tasks.ids(key)))
    _put(context, context.client.selected_tasks(context.project_id, lacking))
    tasks.set_reading(key, replace(tasks.reading(key), compared_at=now))


def mirrored(task: Mapping[str, Any], config: ImageChoices) -> MirroredTask:
    """A task of the API as the mirror keeps it."""
    state = read_task(task, config)
    newest = max(
        task.get("annotations") or [], key=lambda note: str(note.get("created_at")), default=None
    )
    return MirroredTask(
        task_id=state.task_id,
        uri=state.uri,
        problem=state.problem,
        image_key=None if state.uri is None else image_key(state.uri),
        class_name=None if state.label is None else config.classes[state.label],
        is_done=state.is_done,
        is_skipped=state.is_skipped,
        annotated_at=None if newest is None else moment(newest["created_at"]).timestamp(),
        annotated_by=None if newest is None else newest.get("completed_by"),
        annotations=len(task.get("annotations") or []),
    )


def moment(text: str) -> datetime:
    """A moment as Label Studio writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def spread_order(page_count: int) -> list[int]:
    """The pages 1 to `page_count` in an order whose every beginning spreads over all of them."""
    bits = max(1, (page_count - 1).bit_length())
    turned = [int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits)]
    return [number + 1 for number in turned if number < page_count]


def _counts_agree(context: ProjectContext) -> bool:
    known = context.journal.tasks.counts(context.key).tasks
    noted = context.journal.project(context.key)
    if noted is not None and known == noted.labeled + noted.pool:
        return True
    # What was noted is from before an import, say.
    project = context.client.project(context.project_id)
    return project is not None and known == project.task_count


def _read_again_if_lacking(context: ProjectContext, reading: Reading) -> Reading:
    """Begin anew where Label Studio has counted annotations for a while that the mirror lacks.

    It counted before the changes were read: the mirror may well be ahead of it.
    """
    project, now = context.journal.project(context.key), context.journal.now()
    if project is None or not reading.is_whole:
        return reading
    if context.journal.tasks.counts(context.key).annotations >= project.annotations:
        return replace(reading, lacking_since=0.0) if reading.lacking_since else reading
    if not reading.lacking_since:
        return replace(reading, lacking_since=project.checked_at)
    is_confirmed = not 0 <= project.checked_at - reading.lacking_since < DISAGREE_FOR_S
    if not is_confirmed or 0 <= now - reading.compared_at < READ_AGAIN_AFTER_S:
        return reading
    logger.info("project %d: annotations are lacking, reading all tasks", context.project_id)
    return _begin(context)


def _begin(context: ProjectContext) -> Reading:
    newest = context.client.newest_change(context.project_id) or BEFORE_ALL
    now = context.journal.now()
    return Reading(_config(context), newest, now, compared_at=now)


def _config(context: ProjectContext) -> str:
    """What decides how a task is read: where another was noted, all are read again."""
    config = context.config
    return "\n".join((config.from_name, config.data_field, *config.classes))


def _read_changed(context: ProjectContext, reading: Reading) -> Reading:
    """Read what changed; where that is most of a project, begin to read it whole again."""
    now, project = context.journal.now(), context.project_id
    newest = moment(reading.newest_change)
    overlap = timedelta() if reading.newest_read_at == SETTLED else OVERLAP
    tasks = context.client.changed_tasks(project, newest - overlap, MANY_CHANGES)
    if tasks is None and overlap:
        # An import that was read already may lie within the overlap.
        tasks = context.client.changed_tasks(project, newest, MANY_CHANGES)
    if tasks is None:
        return _begin(context)
    last = _put(context, tasks)
    if last > reading.newest_change:
        return replace(reading, newest_change=last, newest_read_at=now)
    # A clock that was set back must not keep it from settling.
    if not 0 <= now - reading.newest_read_at < SETTLED_AFTER_S:
        return replace(reading, newest_read_at=SETTLED)
    return reading


def _read_page(context: ProjectContext, reading: Reading) -> Reading:
    """Read the next page; how many there are is known from the first one on."""
    unread = (n for n in spread_order(reading.page_count or 1) if n not in reading.pages_read)
    number = next(unread)
    page = context.client.task_page(context.project_id, number, PAGE_TASKS)
    _put(context, page.tasks)
    page_count = max(reading.page_count, 1, math.ceil(page.total / PAGE_TASKS))
    return replace(reading, page_count=page_count, pages_read=[*reading.pages_read, number])


def _events(context: ProjectContext) -> int:
    project = context.journal.project(context.key)
    return 0 if project is None else project.changed


def _put(context: ProjectContext, tasks: Iterable[Mapping[str, Any]]) -> str:
    """Keep tasks in the mirror; the newest of their changes, "" where there is none."""
    newest, part = "", []
    for task in tasks:
        newest = max(newest, str(task["updated_at"]))
        part.append(mirrored(task, context.config))
    context.journal.tasks.put(context.key, part)
    return newest
