"""Where served tasks came from: told by their predictions, else by what was published before."""

from __future__ import annotations

import time
from typing import Any

import pytest

from backend.harness.served import Served, served
from backend.harness.shift import Event

LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
ROUND_1 = "alfa-mix r1 · 9 labels"


def opened(task_id: int | None, score: float | None, at_s: float = 0.0) -> Event:
    version = None if score is None else ROUND_1
    return Event("person 1", "open", at_s, 0.1, task_id, version, score)


def test_served_tells_where_tasks_came_from() -> None:
    log = [
        opened(1, 0.0),
        opened(2, 0.49),
        opened(3, 0.5),
        opened(4, 0.99),
        opened(5, 1.0),  # a live prediction: the queue had no other task
        opened(6, None),
        opened(7, None),
        Event("person 1", "open", 0.0, 0.1, 8, "somebody else's", 0.1),
        opened(None, None),
        Event("person 1", "submit", 0.0, 0.1, 1, None, None),
        Event("person 1", "fail", 0.0, 0.1, None, None, None),
    ]
    found = Served.of(log, was_queued=lambda event: event.task_id == 7)
    assert found == Served(batch=2, supply=2, earlier=1, outside=3, turned_away=1)
    assert str(found) == (
        "served 2 of the batch, 2 of the supply, 1 held before, 3 outside; 1 turned away"
    )


@pytest.mark.label_studio
def test_only_what_a_round_published_before_was_queued(label_studio: Any) -> None:
    project_id = label_studio.create_project(LABEL_CONFIG)
    data = [{"image": f"https://example.com/{number}.png"} for number in range(3)]
    published, live, late = label_studio.import_tasks(project_id, data)

    def predict(task_id: int, score: float) -> None:
        fields = {"task": task_id, "result": [], "model_version": ROUND_1, "score": score}
        label_studio.api.call("POST", "/api/predictions/", json=fields)

    predict(published, 0.1)
    predict(live, 1.0)
    log = [opened(task_id, None, time.time()) for task_id in (published, live, late)]
    predict(late, 0.1)

    assert served(label_studio.api, log) == Served(0, 0, earlier=1, outside=2, turned_away=0)
