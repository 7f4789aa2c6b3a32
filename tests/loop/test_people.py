"""People at the queue of a backend in processes of its own: nobody waits for one person.

They label as the page has them work: each Submit opens, and locks, the next task.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from backend.harness.crew import Crew
from backend.harness.person import Habits
from tests.loop.conftest import colored_tasks

pytestmark = pytest.mark.label_studio
VERSION = re.compile(r"alfa-mix r\d+ · \d+ labels")
BUSY = Habits(pause_s=0.3, press_again_s=0.5)
SKIPPER = Habits(pause_s=0.3, press_again_s=0.5, skip_share=1.0)
WAIT_S = 240.0


@pytest.fixture
def staffed(label_studio, backend, colored_project, new_annotator):
    """A project with its first queue, its backend, and three people who are not at work yet."""

    def make(count=120, habits: Any = BUSY, people=3, fields=None, **settings):
        project_id, _ = colored_project(count, **(fields or {}))
        server = backend(**{"FINETUNE": "head", "BUDGET": "10", **settings})
        server.connect(project_id)
        server.wait_for_round(project_id, 0)
        crew = Crew([new_annotator(project_id) for _ in range(people)], habits, random.Random(0))
        return project_id, server, crew

    return make


def assert_all_are_served_from_the_queue(label_studio, events):
    assert sum(event.is_turned_away for event in events) == 0
    opened = [event for event in events if event.action == "open"]
    outside = [event for event in opened if not _is_current(event)]
    assert [e for e in outside if not _was_queued(label_studio, e.task_id)] == []


def _is_current(event):
    return bool(VERSION.fullmatch(event.model_version or "")) and event.score < 1


def _was_queued(label_studio, task_id):
    """A task that somebody held, or began for two, when its round ended."""
    task = label_studio.api.call("GET", f"/api/tasks/{task_id}/")
    return any(VERSION.fullmatch(p["model_version"] or "") for p in task["predictions"])


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


def test_others_go_on_when_one_skips_everything(label_studio, staffed):
    project_id, server, crew = staffed(habits=(SKIPPER, BUSY, BUSY))
    events = label(crew, 25)
    assert_all_are_served_from_the_queue(label_studio, events)
    assert sum(event.action == "skip" for event in events) >= 5
    server.wait_for_round(project_id, 1)


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


def test_people_label_on_when_very_many_tasks_come_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed(count=90)

    def add():
        time.sleep(2)
        label_studio.import_tasks(project_id, colored_tasks(400, seed=3))

    events = label(crew, 45, add)
    assert_all_are_served_from_the_queue(label_studio, events)
    server.status_when(project_id, "the new tasks", lambda s: s["last_round"]["pool"] > 100)


def test_people_label_on_when_the_backend_is_restarted_meanwhile(label_studio, staffed):
    project_id, server, crew = staffed(habits=Habits(pause_s=1.2))

    def restart():
        time.sleep(3)
        server.stop()
        server.start()

    events = label(crew, 50, restart)
    assert_all_are_served_from_the_queue(label_studio, events)
    server.wait_for_round(project_id, 1)


@pytest.mark.parametrize("count", [3, 12])
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


def test_twenty_people_are_served_when_they_come_at_once(label_studio, staffed):
    # Three times as many as a batch has tasks, before anybody labeled.
    _project_id, _server, crew = staffed(people=20, BUDGET="6")
    opened = [person.press() for person in crew.people]
    assert len({task["id"] for task in opened}) == 20
    assert_all_are_served_from_the_queue(label_studio, crew.events)
