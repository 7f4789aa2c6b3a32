"""Rows of the journal as tests need them: everything has a value, what matters is named."""

from __future__ import annotations

from typing import Any

from model_store import phases
from model_store.journal import QueuedTask, RoundState
from model_store.task_mirror import MirroredTask
from model_store.tunings import Tuning

KEY = "12.1700000000"
CLASSES = ["cat", "dog"]


def round_state(number: int = 0, phase: str = phases.DONE, **changes: Any) -> RoundState:
    """A round of project KEY."""
    values: dict[str, Any] = {
        "key": KEY,
        "number": number,
        "phase": phase,
        "strategy": "auto",
        "settings": {"seed": "0"},
        "classes": CLASSES,
        "n_labeled": 0,
        "n_pool": 9,
        "model_version": f"alfa-mix r{number} · 0 labels",
        "checkpoint": None,
        "features_version": None,
        "statistics": {},
        "seconds": {},
        "started_at": 1.0,
        "finished_at": None,
    }
    return RoundState(**(values | changes))


def tuning_state(number: int = 1, phase: str = phases.DONE, **changes: Any) -> Tuning:
    """A fine-tuned network of project KEY."""
    values: dict[str, Any] = {
        "key": KEY,
        "number": number,
        "phase": phase,
        "checkpoint": None,
        "features_version": None,
        "classes": CLASSES,
        "n_labeled": 0,
        "statistics": {},
        "seconds": {},
        "started_at": 1.0,
        "finished_at": None,
    }
    return Tuning(**(values | changes))


def queued_task(rank: int, task_id: int | None = None, **changes: Any) -> QueuedTask:
    """One task of a queue; its id is 100 and its rank where none is given."""
    values: dict[str, Any] = {
        "rank": rank,
        "task_id": 100 + rank if task_id is None else task_id,
        "cluster": rank,
        "score": rank / (rank + 4),
        "is_reserve": False,
        "class_name": None,
        "probability": None,
    }
    return QueuedTask(**(values | changes))


def mirrored_task(task_id: int, **changes: Any) -> MirroredTask:
    """A task that waits for a label; with `class_name` it has one."""
    uri = f"/data/upload/{task_id}.png"
    values: dict[str, Any] = {
        "task_id": task_id,
        "uri": uri,
        "problem": None,
        "image_key": f"{task_id:032x}",
        "class_name": None,
        "is_done": "class_name" in changes,
        "is_skipped": False,
        "annotated_at": None,
        "annotated_by": None,
        "annotations": int("class_name" in changes),
    }
    return MirroredTask(**(values | changes))
