"""Simulated annotators: Label Studio users who label from the true classes, as a browser would."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from backend.demo.api import Api
from backend.demo.people import sign_in, sign_up
from backend.demo.server import Account
from backend.errors import LabelStudioError

TrueClass = Callable[[str], str]


class Annotator:
    """One user who presses Label All Tasks in one project."""

    def __init__(self, api: Api, project_id: int, true_class: TrueClass) -> None:
        """`true_class` gives the class of an image's URL in task data."""
        self._api = api
        self._project_id = project_id
        self._true_class = true_class

    def label_next(self) -> int | None:
        """Label the task that the queue serves next; its id, None when none is left."""
        started = time.monotonic()
        path = f"/api/projects/{self._project_id}/next"
        reply = self._api.session.get(path)
        if reply.status_code == httpx.codes.NOT_FOUND:
            return None
        if not reply.is_success:
            raise LabelStudioError(f"GET {path}: {reply.status_code} {reply.text[:500]}")
        task = reply.json()
        annotation = self._annotation(task) | {"lead_time": time.monotonic() - started}
        self._api.call("POST", f"/api/tasks/{task['id']}/annotations", json=annotation)
        return task["id"]

    def _annotation(self, task: dict[str, Any]) -> dict[str, Any]:
        """What Submit sends: the choice, and the prediction that it was pre-labeled from."""
        choice = self._true_class(task["data"]["image"])
        result = {"from_name": "label", "to_name": "image", "type": "choices"}
        result |= {"value": {"choices": [choice]}, "origin": "manual"}
        predictions = task.get("predictions") or [{"id": None}]
        return {
            "result": [result],
            "project": self._project_id,
            "parent_prediction": predictions[0]["id"],
        }


def annotator_account(admin: Api, number: int, password: str) -> Account:
    """The user annotator<number>@example.com, signed up at the first call."""
    email = f"annotator{number}@example.com"
    try:
        return sign_in(admin, email, password)
    except LabelStudioError:
        return sign_up(admin, email, password)


def label_together(annotators: Sequence[Annotator], count: int) -> list[int]:
    """The ids of the tasks served to and labeled by all annotators at once, at most `count`."""
    permits: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        permits.put(number)
    with ThreadPoolExecutor(len(annotators)) as pool:
        shares = pool.map(lambda annotator: _label_share(annotator, permits), annotators)
        return [task_id for share in shares for task_id in share]


def _label_share(annotator: Annotator, permits: queue.SimpleQueue[int]) -> list[int]:
    served: list[int] = []
    # A permit per task: who asked for one more would hold its lock into the next round.
    while not permits.empty():
        try:
            permits.get_nowait()
        except queue.Empty:
            break
        task_id = annotator.label_next()
        if task_id is None:
            break
        served.append(task_id)
    return served
