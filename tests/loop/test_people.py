"""People at the queue of a backend in processes of its own: nobody waits for one person.

They label as the page has them work: each Submit opens, and locks, the next task.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backend.harness.crew import Crew
from backend.harness.person import Habits
from backend.harness.proxy import Proxy
from backend.harness.served import served
from tests.loop.conftest import colored_tasks, predictions_of, wait_for

pytestmark = pytest.mark.label_studio
BUSY = Habits(pause_s=0.3, press_again_s=0.5)
SKIPPER = Habits(pause_s=0.3, press_again_s=0.5, skip_share=1.0)
WAIT_S = 240.0
# Label Studio signs up as many people side by side as it has the processors to hash passwords.
SIGN_UPS = 4


@pytest.fixture
def staffed(label_studio, backend, colored_project, new_annotator):
    """A project with its first queue, its backend, and three people who are not at work yet.

    way: a proxy between the backend and Label Studio.
    """

    def make(count=120, habits: Any = BUSY, people=3, fields=None, way=label_studio, **settings):
        project_id, _ = colored_project(count, **(fields or {}))
        server = backend(start=False, **{"FINETUNE": "head", "BUDGET": "10", **settings})
        server.env["LABEL_STUDIO_URL"] = way.url
        server.start().connect(project_id)
        server.wait_for_round(project_id, 0)
        with ThreadPoolExecutor(SIGN_UPS) as pool:
            annotators = list(pool.map(new_annotator, [project_id] * people))
        return project_id, server, Crew(annotators, habits, random.Random(0))

    return make


@pytest.fixture
def proxy(label_studio):
    """A way to Label Studio that can be made slow."""
    with Proxy(label_studio.url) as proxy:
        yield proxy


def assert_all_are_served_from_the_queue(label_studio, events):
    found = served(label_studio.api, events)
    log = "\n".join(map(str, events))
    assert (found.turned_away, found.outside) == (0, 0), f"{found}\n{log}"


def assert_nothing_is_doubled(label_studio, project_id):
    found = predictions_of(label_studio, project_id)
    times = Counter((p["task"], p["model_version"]) for p in found)
    assert [which for which, count in times.items() if count > 1] == []


def label(crew: Crew, count: int, meanwhile: Callable[[], object] = lambda: None):
    """Let the crew submit so many labels; the log."""
    with crew:
        crew.start(labels=count)
        meanwhile()
        return crew.wait(WAIT_S)


def test_nobody_is_turned_away_when_one_opens_a_task_and_goes_home(label_studio, staffed):
    project_id, server, crew = staffed()
    walked_off = crew.people[0]
    held = walked_off.press()
    with crew:
        crew.start(labels=45)
        walked_off.leave()
        events = crew.wait(WAIT_S)
    assert_all_are_served_from_the_queue(label_studio, events)
    assert held["id"] in {event.task_id for event in events}
    server.wait_for_round(project_id, 1)


def test_everybody_is_served_when_all_went_home_with_a_task_and_come_back(label_studio, staffed):
    _project_id, _server, crew = staffed()
    with crew:
        crew.start()
        time.sleep(6)
        for person in crew.people:
            person.leave()
        held = {person.name: person.open_task["id"] for person in crew.people}
        evening = len(crew.events)
        time.sleep(3)
        crew.start(labels=30)
        events = crew.wait(WAIT_S)
    assert_all_are_served_from_the_queue(label_studio, events)
    morning = [event for event in events[evening:] if event.action == "open"]
    first = {event.person: event.task_id for event in reversed(morning)}
    assert first == held


@pytest.mark.soak
def test_others_go_on_when_one_skips_everything(label_studio, staffed):
    project_id, server, crew = staffed(habits=(SKIPPER, BUSY, BUSY))
    events = label(crew, 25)
    assert_all_are_served_from_the_queue(label_studio, events)
    assert sum(event.action == "skip" for event in events) >= 5
    server.wait_for_round(project_id, 1)


@pytest.mark.soak
def test_begun_tasks_come_first_and_rounds_go_on_when_each_task_is_labeled_twice(
    label_studio, staffed
):
    project_id, server, crew = staffed(fields={"maximum_annotations": 2})
    events = label(crew, 50)
    assert_all_are_served_from_the_queue(label_studio, events)
    labeled = {event.task_id for event in events if event.action == "submit"}
    # Most tasks were finished by a second person before a third was begun.
    assert 20 <= len(labeled) <= 35
    server.wait_for_round(project_id, 1)


@pytest.mark.soak
def test_people_label_on_when_a_class_is_added_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed()
    path = f"/api/projects/{project_id}"
    config = label_studio.api.call("GET", path)["label_config"]
    more = config.replace('<Choice value="red"/>', '<Choice value="red"/><Choice value="teal"/>')

    def edit():
        time.sleep(2)
        label_studio.api.call("PATCH", path, json={"label_config": more})

    events = label(crew, 30, edit)
    assert_all_are_served_from_the_queue(label_studio, events)
    status = server.status(project_id)
    assert status["last_error"] is None


@pytest.mark.soak
def test_people_label_on_when_the_tasks_ahead_are_deleted_meanwhile(label_studio, staffed):
    # Slow enough that nobody has one of them open: that person's Submit would fail.
    project_id, server, crew = staffed(habits=Habits(pause_s=1.5))

    def delete():
        status = server.status(project_id)
        for task_id in status["reserve"][len(status["reserve"]) // 2 :]:
            label_studio.api.call("DELETE", f"/api/tasks/{task_id}/")

    events = label(crew, 25, delete)
    assert sum(event.is_turned_away for event in events) == 0
    assert server.status(project_id)["last_error"] is None


@pytest.mark.soak
def test_people_label_on_when_very_many_tasks_come_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed(count=90)

    def add():
        time.sleep(2)
        label_studio.import_tasks(project_id, colored_tasks(400, seed=3))

    events = label(crew, 45, add)
    assert_all_are_served_from_the_queue(label_studio, events)
    server.status_when(project_id, "the new tasks", lambda s: s["last_round"]["pool"] > 100)


@pytest.mark.soak
def test_people_label_on_when_the_backend_is_restarted_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed(habits=Habits(pause_s=1.2))

    def restart():
        time.sleep(3)
        server.stop()
        server.start()

    events = label(crew, 50, restart)
    assert_all_are_served_from_the_queue(label_studio, events)
    server.wait_for_round(project_id, 1)


@pytest.mark.parametrize("count", [3, pytest.param(12, marks=pytest.mark.soak)])
def test_queue_ends_when_everything_is_labeled(label_studio, staffed, count):
    # A budget above the pool, and one just below it.
    project_id, server, crew = staffed(count=count, people=1)
    (person,) = crew.people
    with crew:
        crew.start(labels=count)
        crew.wait(WAIT_S)
    assert person.press() is None
    server.status_when(project_id, "an empty pool", lambda s: s["phase"] == "pool-empty")
    label_studio.import_tasks(project_id, colored_tasks(2, seed=9))
    server.status_when(project_id, "a new queue", lambda s: len(s["batch"]) == 2)
    assert person.press() is not None


@pytest.mark.soak
def test_fifty_people_are_served_when_they_come_at_once(label_studio, staffed):
    # Eight times as many as a batch has tasks, before anybody labeled.
    _project_id, _server, crew = staffed(people=50, BUDGET="6")
    opened = [person.press() for person in crew.people]
    assert_all_are_served_from_the_queue(label_studio, crew.events)
    assert len({task["id"] for task in opened}) == 50


@pytest.mark.soak
def test_nobody_is_turned_away_when_label_studio_takes_two_seconds_for_each_request_of_the_backend(
    label_studio, staffed, proxy
):
    project_id, server, crew = staffed(habits=Habits(pause_s=1.5), way=proxy, POLL_S="30")
    proxy.delay_s = 2.0
    events = label(crew, 40)
    assert_all_are_served_from_the_queue(label_studio, events)
    server.wait_for_round(project_id, 1)
    assert_nothing_is_doubled(label_studio, project_id)


@pytest.mark.soak
def test_people_go_on_when_label_studio_was_restarted_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed()

    def labels():
        return sum(event.action == "submit" for event in crew.events)

    with crew:
        crew.start()
        wait_for("labels before", lambda: labels() >= 5)
        label_studio.server.restart()
        before = labels()
        wait_for("labels after", lambda: labels() >= before + 25)
        events = crew.stop()
    assert_all_are_served_from_the_queue(label_studio, events)
    server.status_when(project_id, "a round of them", lambda s: s["last_round"]["labels"] > before)
    assert_nothing_is_doubled(label_studio, project_id)
