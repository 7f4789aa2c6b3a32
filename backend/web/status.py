"""What `/status` says: the journal, put into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend import __version__
from backend.label_studio.wording import shown_uri
from model_store import phases
from model_store.journal import Journal, ProjectState, RoundState


def status(
    journal: Journal, troubles: Sequence[str] = (), warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """What `/status` shows: the state of every project, and what its admin should know.

    troubles: what keeps the backend from its work. JournalError: the journal cannot be read.
    """
    projects = [_project(journal, state) for state in journal.projects()]
    return unreadable(troubles, warnings) | {"projects": projects}


def unreadable(troubles: Sequence[str], warnings: Sequence[str]) -> dict[str, Any]:
    """What `/status` shows of a journal that cannot be read."""
    return {
        "version": __version__,
        "troubles": list(dict.fromkeys(troubles)),
        "warnings": list(warnings),
        "projects": [],
    }


def _project(journal: Journal, state: ProjectState) -> dict[str, Any]:
    latest = journal.latest_round(state.key)
    published = journal.published_round(state.key)
    queue = [] if published is None else journal.queue(published)
    return {
        "project_id": state.project_id,
        "key": state.key,
        "title": state.title,
        "connected": state.connected,
        "phase": state.phase,
        "progress": {"done": state.phase_done, "total": state.phase_total},
        "eta_s": remaining_s(state, journal.now()),
        "background": _background(state, journal.now()),
        "round": None if latest is None else latest.number,
        "model_version": None if published is None else published.model_version,
        "labeled": state.labeled,
        "skipped": state.skipped,
        "pool": state.pool,
        "batch": [task.task_id for task in queue if not task.is_reserve],
        "reserve": [task.task_id for task in queue if task.is_reserve],
        "unreadable": _unreadable(journal, state.key),
        "last_round": None if published is None else _round(published),
        "last_error": state.last_error or state.background_error,
        "last_error_at": state.last_error_at,
    }


def _background(state: ProjectState, now: float) -> dict[str, Any] | None:
    """What is computed behind the queue, and how far it is; None for nothing."""
    if not state.background:
        return None
    done, total = state.background_done, state.background_total
    elapsed_s = max(0.0, now - state.background_started_at)
    return {
        "phase": state.background,
        "progress": {"done": done, "total": total},
        "eta_s": round(elapsed_s / done * (total - done), 1) if 0 < done <= total else None,
    }


def _unreadable(journal: Journal, key: str) -> list[dict[str, Any]]:
    """Tasks without an image in their data, and those whose image could not be had."""
    found = [(task.task_id, "", task.problem) for task in journal.tasks.without_image(key)]
    found += [(task.task_id, task.uri, task.reason) for task in journal.unreadable(key)]
    return [
        {"task_id": task_id, "uri": shown_uri(uri), "reason": reason}
        for task_id, uri, reason in sorted(found, key=lambda entry: entry[0])
    ]


def _round(state: RoundState) -> dict[str, Any]:
    return {
        "number": state.number,
        "labels": state.n_labeled,
        "pool": state.n_pool,
        "strategy": state.strategy,
        "settings": dict(state.settings),
        "statistics": dict(state.statistics),
        "seconds": dict(state.seconds),
        "started_at": state.started_at,
        "finished_at": state.finished_at,
    }


def remaining_s(state: ProjectState, now: float) -> float | None:
    """Seconds that a working phase still needs at its pace so far, or None where none is known."""
    if state.phase in phases.RESTING or not 0 < state.phase_done <= state.phase_total:
        return None
    # A clock that was set back makes no negative time.
    pace_s = max(0.0, now - state.phase_started_at) / state.phase_done
    return round(pace_s * (state.phase_total - state.phase_done), 1)
