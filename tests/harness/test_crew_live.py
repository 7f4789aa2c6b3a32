"""People at the real Label Studio's queue: what they are served, and what stays locked for them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.crew import Crew
from backend.harness.person import Habits
from tests.harness.conftest import wait_until

pytestmark = pytest.mark.label_studio
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


@pytest.fixture
def ranked_project(label_studio: Any) -> tuple[int, list[int]]:
    """A project whose queue follows predictions of version v1, and its task ids in rank order."""
    project_id = label_studio.create_project(LABEL_CONFIG)
    data = [{"image": f"https://example.com/{number}.png"} for number in range(6)]
    ranked = label_studio.import_tasks(project_id, data)[::-1]
    for rank, task_id in enumerate(ranked):
        fields = {"task": task_id, "result": [], "model_version": "v1"}
        prediction = fields | {"score": rank / 10, "cluster": rank}
        label_studio.api.call("POST", "/api/predictions/", json=prediction)
    queue = {"sampling": "Uncertainty sampling", "model_version": "v1"}
    label_studio.api.call("PATCH", f"/api/projects/{project_id}", json=queue)
    return project_id, ranked


@pytest.fixture
def crew(label_studio: Any, ranked_project: tuple[int, list[int]]) -> Iterator[Crew]:
    """Two users who label in the ranked project and take no time."""
    project_id, _ = ranked_project
    apis = [Api(label_studio.url, label_studio.create_user()[2]) for _ in range(2)]
    annotators = [Annotator(api, project_id, lambda data: "cat") for api in apis]
    with Crew(annotators, Habits(pause_s=0.0, press_again_s=0.1), random.Random(0)) as crew:
        yield crew
    for api in apis:
        api.close()


def test_task_is_kept_from_others_when_its_person_left_it_open(
    crew: Crew, ranked_project: tuple[int, list[int]]
) -> None:
    _, ranked = ranked_project
    left, worker = crew.people
    held = left.press()
    assert held is not None
    assert held["id"] == ranked[0]

    worker.come()
    wait_until(lambda: sum(event.is_turned_away for event in crew.events) >= 2)
    worker.leave()

    events = [event for event in crew.events if event.person == worker.name]
    opened = [event for event in events if event.action == "open" and not event.is_turned_away]
    assert [event.task_id for event in opened] == ranked[1:]
    assert [event.score for event in opened] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert {event.model_version for event in opened} == {"v1"}
    back = left.press()
    assert back is not None
    assert back["id"] == held["id"]
    assert left.skip(back) is None
    again = worker.press()
    assert again is not None
    assert again["id"] == held["id"]


def test_nobody_is_served_what_another_labels_when_both_work_at_once(
    crew: Crew, ranked_project: tuple[int, list[int]]
) -> None:
    _, ranked = ranked_project

    crew.start(labels=len(ranked))
    events = crew.wait(timeout_s=300)

    opened = [event.task_id for event in events if event.action == "open"]
    assert sorted(task_id for task_id in opened if task_id is not None) == sorted(ranked)
    submitted = [event.task_id for event in events if event.action == "submit"]
    assert sorted(submitted) == sorted(ranked)
