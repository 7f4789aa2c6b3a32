"""Decides whether a project needs a new round. Pure functions of what was read; no requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.label_studio.annotations import TaskState
from model_store.journal import ProjectState, QueuedTask, RoundState

START_TRAINING = "training was requested"
BATCH_DONE = "the batch is done"
LEFT_BEHIND = "the last tasks of the batch were left open"
CLASSES_CHANGED = "the classes changed"
POOL_CHANGED = "there are new tasks"
POOL_EMPTY = "pool-empty"


@dataclass(frozen=True)
class BatchProgress:
    """How much of the published batch is done, and how much of its reserve."""

    done: int
    total: int
    reserve_done: int


def batch_progress(queue: Sequence[QueuedTask], states: Mapping[int, TaskState]) -> BatchProgress:
    """Progress of a queue; a task that was labeled, skipped or deleted is done."""

    def done(task: QueuedTask) -> bool:
        state = states.get(task.task_id)
        return state is None or state.is_done or state.is_skipped

    batch = [task for task in queue if not task.is_reserve]
    reserve = [task for task in queue if task.is_reserve]
    return BatchProgress(sum(map(done, batch)), len(batch), sum(map(done, reserve)))


def due_reason(
    project: ProjectState,
    published: RoundState,
    progress: BatchProgress,
    classes: Sequence[str],
    *,
    now: float,
    idle_s: float,
) -> str | None:
    """Why a new round is due after the published one, or None.

    The API shows no locks. A batch task that somebody opened and left shows in that others were
    given the reserve while the batch stood still for `idle_s` seconds.
    """
    if project.training_requested:
        return START_TRAINING
    if list(classes) != list(published.classes):
        return CLASSES_CHANGED
    if progress.total > 0 and progress.done >= progress.total:
        return BATCH_DONE
    stood_still_s = now - project.batch_progress_at
    if progress.total > 0 and progress.reserve_done > 0 and stood_still_s > idle_s:
        return LEFT_BEHIND
    return None


def reopened_reason(
    project: ProjectState, counters: str, *, retry_unreadable_at: float | None, now: float
) -> str | None:
    """Why a project whose pool was empty is worth another look, or None."""
    if project.training_requested:
        return START_TRAINING
    if counters != project.counters:
        return POOL_CHANGED
    if retry_unreadable_at is not None and now >= retry_unreadable_at:
        return "unreadable images are tried again"
    return None
