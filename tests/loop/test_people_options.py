"""What people are served with a project's options, and after a night: docs/people.md.

Request by request, with the worker's work on the queue done in between.
"""

from __future__ import annotations

import sqlite3

import pytest

from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.loop import supply
from tests.loop.conftest import true_color

pytestmark = pytest.mark.label_studio
# People label so many tasks each before the worker looks at the queue again.
BOUT = 3


@pytest.fixture(scope="module")
def users(label_studio):
    """Two users who label in all projects of this module."""
    apis = [Api(label_studio.url, label_studio.create_user()[2]) for _ in range(2)]
    yield apis
    for api in apis:
        api.close()


@pytest.fixture
def people(users):
    """The two users as annotators of a project."""
    return lambda project_id: [Annotator(api, project_id, true_color) for api in users]


def label_all(inline, project_id, *people):
    """Let people label in turns until nobody is served; the ids of the tasks that each was."""
    served = {person: [] for person in people}
    while True:
        bout = [(person, person.label_next()) for _ in range(BOUT) for person in people]
        for person, task_id in bout:
            served[person] += [] if task_id is None else [task_id]
        if not any(task_id for _person, task_id in bout):
            return served
        inline.keep_queue(project_id)


def skip_two(person):
    """The ids of the first two tasks that somebody is served, who skips them."""
    skipped = []
    for _ in range(2):
        task = person.open_next()
        person.skip(task)
        skipped.append(task["id"])
    return skipped


def test_skipped_tasks_are_for_others_at_once_and_never_return_by_default(
    inline, connected_project, people
):
    project_id, task_ids = connected_project(9)
    batch = inline.reconcile(project_id)["batch"]
    skipper, other = people(project_id)
    skipped = skip_two(skipper)
    inline.keep_queue(project_id)
    assert skipped == batch[:2]
    assert other.open_next()["id"] == skipped[0]
    served = label_all(inline, project_id, skipper, other)
    assert not set(skipped) & set(served[skipper])
    assert set(skipped) < set(served[other])
    assert sorted(served[skipper] + served[other]) == task_ids


def test_skipped_tasks_come_back_to_their_skipper_last_when_requeued_for_me(
    inline, connected_project, people
):
    project_id, task_ids = connected_project(9, skip_queue="REQUEUE_FOR_ME")
    batch = inline.reconcile(project_id)["batch"]
    skipper, other = people(project_id)
    skipped = skip_two(skipper)
    inline.keep_queue(project_id)
    assert other.open_next()["id"] == batch[2]
    served = label_all(inline, project_id, skipper, other)
    assert served[skipper][-2:] == skipped
    assert not set(skipped) & set(served[other])
    assert sorted(served[skipper] + served[other]) == task_ids
    assert inline.status(project_id)["labeled"] == 9


def test_skipped_tasks_are_done_when_skipped_tasks_are_ignored(inline, connected_project, people):
    project_id, task_ids = connected_project(9, skip_queue="IGNORE_SKIPPED")
    batch = inline.reconcile(project_id)["batch"]
    skipper, other = people(project_id)
    skipped = skip_two(skipper)
    inline.keep_queue(project_id)
    assert other.open_next()["id"] == batch[2]
    served = label_all(inline, project_id, skipper, other)
    assert sorted(skipped + served[skipper] + served[other]) == task_ids
    status = inline.status(project_id)
    assert (status["phase"], status["last_round"]["labels"]) == ("pool-empty", 7)


def test_a_task_with_a_draft_is_opened_again_when_its_person_comes_back(
    inline, connected_project, people
):
    project_id, _ = connected_project(12)
    batch = inline.reconcile(project_id)["batch"]
    person, other = people(project_id)
    task = person.open_next()
    person.save_draft(task)
    inline.keep_queue(project_id)
    assert other.open_next()["id"] == batch[1]
    assert person.open_next()["id"] == task["id"] == batch[0]


def test_a_task_that_was_put_off_comes_back_to_its_person_alone_when_nothing_else_is_left(
    inline, connected_project, people
):
    project_id, task_ids = connected_project(9)
    batch = inline.reconcile(project_id)["batch"]
    person, other = people(project_id)
    task = person.open_next()
    person.postpone(task)
    inline.keep_queue(project_id)
    assert person.open_next()["id"] == batch[1]
    served = label_all(inline, project_id, person, other)
    assert served[person][-1] == task["id"] == batch[0]
    assert sorted(served[person] + served[other]) == task_ids
    assert inline.status(project_id)["last_round"]["labels"] == 9


@pytest.fixture
def small_organization(monkeypatch):
    """Whoever else signed up in this session does not come: nothing lies ahead for them."""
    monkeypatch.setattr(supply, "NEWCOMERS", 1)


@pytest.fixture
def drafts_read_at_once(monkeypatch):
    """Here somebody puts off three tasks in a moment."""
    monkeypatch.setattr(supply, "DRAFTS_EVERY_S", 0.0)


@pytest.mark.soak
def test_others_are_served_from_the_queue_when_one_puts_most_of_it_off(
    small_organization, drafts_read_at_once, inline, connected_project, people
):
    project_id, _ = connected_project(60)
    version = inline.reconcile(project_id)["model_version"]
    person, other = people(project_id)
    for _ in range(12):
        for _ in range(3):
            person.postpone(person.open_next())
        task = other.open_next()
        assert task is not None
        assert version in {prediction["model_version"] for prediction in task["predictions"]}
        other.submit(task)
        version = inline.keep_queue(project_id)["model_version"]


def test_labels_of_skipped_tasks_are_trained_on_when_they_are_the_last(
    inline, connected_project, people
):
    project_id, _ = connected_project(9, skip_queue="REQUEUE_FOR_ME")
    inline.reconcile(project_id)
    skipper, other = people(project_id)
    skip_two(skipper)
    assert len(label_all(inline, project_id, other)[other]) == 7
    status = inline.keep_queue(project_id)
    assert (status["phase"], status["last_round"]["labels"]) == ("pool-empty", 7)
    assert len(label_all(inline, project_id, skipper)[skipper]) == 2
    status = inline.keep_queue(project_id)
    assert (status["phase"], status["last_round"]["labels"]) == ("pool-empty", 9)


def overlap_of(label_studio, project_id):
    query = {"project": project_id, "page_size": 1000, "fields": "all"}
    tasks = label_studio.api.call("GET", "/api/tasks", params=query)["tasks"]
    return {task["id"]: task["overlap"] for task in tasks}


def test_tasks_for_two_come_first_and_in_rank_order_when_overlap_is_shown_first(
    label_studio, inline, connected_project, people
):
    project_id, task_ids = connected_project(
        9, maximum_annotations=2, overlap_cohort_percentage=50, show_overlap_first=True
    )
    overlap = overlap_of(label_studio, project_id)
    status = inline.reconcile(project_id)
    for_two = [task_id for task_id in status["batch"] + status["reserve"] if overlap[task_id] == 2]
    assert len(for_two) == 5
    first, second = people(project_id)
    assert [first.label_next() for _ in range(3)] == for_two[:3]
    # Begun tasks come before others, at random.
    assert {second.label_next() for _ in range(3)} == set(for_two[:3])
    served = label_all(inline, project_id, first, second)
    for person in (first, second):
        assert {overlap[task_id] for task_id in served[person][:2]} == {2}
        assert {overlap[task_id] for task_id in served[person][2:]} == {1}
    ones = [task_id for person in served for task_id in served[person] if overlap[task_id] == 1]
    assert sorted(ones) == [task_id for task_id in task_ids if overlap[task_id] == 1]


@pytest.mark.soak
def test_tasks_for_two_are_of_the_queue_when_they_are_few_and_overlap_is_shown_first(
    small_organization, inline, connected_project, annotator
):
    project_id, _ = connected_project(
        40, maximum_annotations=2, overlap_cohort_percentage=20, show_overlap_first=True
    )
    version = inline.reconcile(project_id)["model_version"]
    person = annotator(project_id)
    for _ in range(8):
        task = person.open_next()
        assert version in {prediction["model_version"] for prediction in task["predictions"]}
        person.submit(task)
        version = inline.keep_queue(project_id)["model_version"]


def let_locks_expire(label_studio, project_id):
    """What a day does to the locks of a project; no API shows them."""
    database = sqlite3.connect(label_studio.server.database, timeout=60)
    with database:
        database.execute(
            "UPDATE tasks_tasklock SET expire_at = datetime('now', '-1 hour')"
            " WHERE task_id IN (SELECT id FROM task WHERE project_id = ?)",
            [project_id],
        )
    database.close()


@pytest.fixture
def evening(inline, connected_project, people):
    """A project in which one left a task open, and another labels on until the queue flips."""

    def make():
        project_id, _ = connected_project(12)
        before = inline.reconcile(project_id)
        sleeper, owl = people(project_id)
        held = sleeper.open_next()
        for _ in before["batch"]:
            owl.label_next()
        after = inline.keep_queue(project_id)
        assert after["model_version"] != before["model_version"]
        return project_id, sleeper, owl, held, after

    return make


def test_a_held_task_is_opened_again_the_next_morning_though_the_queue_moved_on(inline, evening):
    project_id, sleeper, owl, held, after = evening()
    assert sleeper.open_next()["id"] == held["id"]
    assert owl.open_next()["id"] != held["id"]
    sleeper.submit(held)
    inline.keep_queue(project_id)
    following = sleeper.open_next()
    assert after["model_version"] in {p["model_version"] for p in following["predictions"]}


def test_a_page_left_open_can_be_submitted_after_its_lock_has_ended(label_studio, inline, evening):
    project_id, sleeper, _owl, held, after = evening()
    let_locks_expire(label_studio, project_id)
    sleeper.submit(held)
    assert inline.keep_queue(project_id)["labeled"] == 7
    following = sleeper.open_next()
    assert after["model_version"] in {p["model_version"] for p in following["predictions"]}


def test_the_queue_is_served_from_its_head_when_a_lock_has_ended(label_studio, inline, evening):
    project_id, sleeper, owl, held, after = evening()
    let_locks_expire(label_studio, project_id)
    queued = after["batch"] + after["reserve"]
    assert held["id"] in queued
    opened = {person.open_next()["id"] for person in (sleeper, owl)}
    assert opened == set(after["batch"][:2])
