"""Simulated annotators: Label Studio users who label from the true classes, as a browser would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backend.errors import LabelStudioError, LabelStudioUnreachableError
from backend.harness.api import Api, patiently
from backend.harness.people import sign_in, sign_up
from backend.harness.server import Account

TrueClass = Callable[[str], str]


class Annotator:
    """One user who presses Label All Tasks in one project."""

    def __init__(self, api: Api, project_id: int, true_class: TrueClass) -> None:
        """`true_class` gives the class of an image's URL in task data."""
        self._api = api
        self._project_id = project_id
        self._true_class = true_class

    def next_task(self) -> dict[str, Any] | None:
        """The task that the queue serves next, locked for this user; None when none is left."""
        return self._api.find(f"/api/projects/{self._project_id}/next")

    def submit(self, task: Mapping[str, Any]) -> None:
        """Label a task that was served."""
        patiently(lambda: self._submit_once(task))

    def _submit_once(self, task: Mapping[str, Any]) -> None:
        path = f"/api/tasks/{task['id']}/annotations"
        try:
            self._api.call("POST", path, json=self._annotation(task))
        except LabelStudioUnreachableError:
            # The annotation may have been stored before something else failed.
            if not self._api.find(path):
                raise

    def _annotation(self, task: Mapping[str, Any]) -> dict[str, Any]:
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

    def once() -> Account:
        try:
            return sign_in(admin, email, password)
        except LabelStudioUnreachableError:
            raise
        except LabelStudioError:
            return sign_up(admin, email, password)

    return patiently(once)


def label_batch(admin: Api, annotators: Sequence[Annotator], batch: Sequence[int]) -> None:
    """Label what is left of a batch of task ids, whoever else labels, skips or holds some of it."""
    while open_tasks := _open_tasks(admin, batch):
        served = label_together(annotators, open_tasks)
        if not set(served) & set(batch):
            return


def label_together(annotators: Sequence[Annotator], count: int) -> list[int]:
    """The ids of the tasks served to and labeled by all annotators at once, at most `count`."""
    with ThreadPoolExecutor(len(annotators)) as pool:
        turns = Turns(count)
        shares = pool.map(lambda annotator: _label_share(annotator, turns), annotators)
        try:
            return [task_id for share in shares for task_id in share]
        finally:
            # Ctrl-C or one annotator's error ends the others after the task they are at.
            turns.end()


class Turns:
    """Lets annotators ask for a task one after the other, `count` times in all.

    On SQLite Label Studio hands one task to two users who ask in the same instant, which people do
    not; and who asked once too often would hold that task's lock into the next round.
    """

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def next_task(self, annotator: Annotator) -> dict[str, Any] | None:
        """What the queue serves to the annotator, None when the turns or the tasks are used up."""
        with self._lock:
            if self._left == 0:
                return None
            self._left -= 1
            return annotator.next_task()

    def end(self) -> None:
        """Serve nobody any more."""
        with self._lock:
            self._left = 0


def _open_tasks(admin: Api, task_ids: Sequence[int]) -> int:
    """How many of these tasks are there that nobody labeled or skipped yet."""
    tasks = [admin.find(f"/api/tasks/{task_id}/") for task_id in task_ids]
    return sum(not (task["is_labeled"] or task["cancelled_annotations"]) for task in tasks if task)


def _label_share(annotator: Annotator, turns: Turns) -> list[int]:
    served: list[int] = []
    while (task := turns.next_task(annotator)) is not None:
        annotator.submit(task)
        served.append(task["id"])
    return served
