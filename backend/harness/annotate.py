"""One Label Studio user who labels from the true classes, by the requests that the page sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.errors import LabelStudioUnreachableError
from backend.harness.api import Api, patiently

# A task as Label Studio's API shows it.
Task = Mapping[str, Any]
# The class of a task, by its data.
TrueClass = Callable[[Mapping[str, Any]], str]

# The name of <Choices> in `project.label_config`.
CONTROL = "label"


class Annotator:
    """One user who presses Label All Tasks in one project."""

    def __init__(
        self, api: Api, project_id: int, true_class: TrueClass, control: str = CONTROL
    ) -> None:
        """control: the name of the label config's <Choices>."""
        self._api = api
        self._project_id = project_id
        self._true_class = true_class
        self._control = control

    def open_next(self) -> Task | None:
        """The task that the queue serves next, locked for this user; None when it has none."""
        return self._api.find(f"/api/projects/{self._project_id}/next")

    def submit(self, task: Task, class_name: str | None = None) -> int:
        """The id of the annotation that labels a task: with its true class, or with another."""
        return self._store(
            task, choice(class_name or self._true_class(task["data"]), self._control)
        )

    def skip(self, task: Task) -> int:
        """The id of the annotation that skips a task."""
        return self._store(task, [], was_cancelled=True)

    def postpone(self, task: Task) -> int:
        """The id of the draft that puts a task off, as the page's arrow to the next task does."""
        return self.save_draft(task, was_postponed=True)

    def save_draft(self, task: Task, **fields: Any) -> int:
        """The id of a draft with a task's true class, as the page keeps it before Submit."""
        path = f"/api/tasks/{task['id']}/drafts"
        result = choice(self._true_class(task["data"]), self._control)
        body = {"result": result, "lead_time": 1.0, **fields}
        return patiently(lambda: self._api.call("POST", path, json=body))["id"]

    def label_next(self) -> int | None:
        """The id of the task that was served and labeled, None when the queue has none."""
        task = self.open_next()
        if task is None:
            return None
        self.submit(task)
        return task["id"]

    def _store(self, task: Task, result: list[dict[str, Any]], **fields: Any) -> int:
        """The id of a new annotation, with the prediction that the page pre-labeled it from."""
        path = f"/api/tasks/{task['id']}/annotations"
        predictions = task.get("predictions") or [{"id": None}]
        body = {
            "result": result,
            "project": self._project_id,
            "parent_prediction": predictions[0]["id"],
            **fields,
        }

        def once() -> int:
            try:
                return self._api.call("POST", path, json=body)["id"]
            except LabelStudioUnreachableError:
                # The annotation may have been stored before something else failed.
                if stored := self._api.find(path):
                    return stored[-1]["id"]
                raise

        return patiently(once)


def choice(class_name: str, control: str = CONTROL) -> list[dict[str, Any]]:
    """An annotation's result: one class, for a label config such as `project.label_config`."""
    return [
        {
            "from_name": control,
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [class_name]},
            "origin": "manual",
        }
    ]
