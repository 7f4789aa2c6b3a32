"""What annotators are handed, in which order, and what is chosen for them already."""

from __future__ import annotations

import pytest

from backend.label_studio.client import LabelStudioClient
from backend.loop import supply
from tests.loop.conftest import CLASSES, predictions_of, project_of

pytestmark = pytest.mark.label_studio


def test_round_0_is_published_when_no_task_has_a_label(label_studio, inline, colored_project):
    project_id, task_ids = colored_project(30)
    inline.connect(project_id)
    status = inline.reconcile(project_id)
    assert len(status["batch"]) == 6
    assert set(status["batch"] + status["reserve"]) <= set(task_ids)
    project = project_of(label_studio, project_id)
    assert project["sampling"] == "Uncertainty sampling"
    assert project["model_version"] == status["model_version"] == "alfa-mix r0 · 0 labels"


def test_tasks_are_preselected_when_a_round_has_trained(inline, colored_project, annotator):
    project_id, _ = colored_project(30)
    inline.connect(project_id)
    first = inline.reconcile(project_id)
    person = annotator(project_id)
    for _ in first["batch"]:
        person.label_next()
    second = inline.reconcile(project_id)
    assert second["model_version"] == "alfa-mix r1 · 6 labels"
    served = []
    for _ in second["batch"]:
        task = person.open_next()
        current = [p for p in task["predictions"] if p["model_version"] == second["model_version"]]
        assert len(current) == 1
        assert current[0]["result"][0]["value"]["choices"][0] in CLASSES
        person.submit(task)
        served.append(task["id"])
    assert served == second["batch"]


def test_no_task_is_served_twice_when_three_annotators_work_at_once(
    inline, colored_project, new_annotator
):
    project_id, _ = colored_project(30)
    inline.connect(project_id)
    status = inline.reconcile(project_id, inline.worker_with(budget=9))
    people = [new_annotator(project_id) for _ in range(3)]
    served = []
    for _ in range(3):
        opened = [person.open_next() for person in people]
        served += [task["id"] for task in opened]
        for person, task in zip(people, opened, strict=True):
            person.submit(task)
    assert served == status["batch"]


def test_round_is_due_by_labels_when_somebody_walked_off_with_a_task(
    inline, connected_project, new_annotator
):
    project_id, _ = connected_project(30)
    status = inline.reconcile(project_id)
    walked_off, worker = new_annotator(project_id), new_annotator(project_id)
    opened = walked_off.open_next()
    served = [worker.label_next() for _ in range(6)]
    assert opened["id"] == status["batch"][0]
    assert served[:5] == status["batch"][1:]
    after = inline.reconcile(project_id)
    assert after["round"] == 1
    assert after["last_round"]["statistics"]["reason"] == "there are new labels"
    # The one task comes back to whoever holds it, whatever version it is of.
    assert walked_off.open_next()["id"] == opened["id"]


def test_queue_is_flipped_with_tasks_ahead_when_people_labeled_its_first_ones_meanwhile(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(60)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    for _ in status["batch"]:
        person.label_next()
    publish, flip = supply.publish_first, LabelStudioClient.update_project
    waiting_at_the_flip = []

    def waiting(version: str) -> list[dict]:
        tasks = {one["task"] for one in predictions_of(label_studio, project_id, version)}
        found = [label_studio.api.call("GET", f"/api/tasks/{task_id}") for task_id in tasks]
        return [task for task in found if not task["is_labeled"]]

    def publish_while_people_label(context, state):
        if publish(context, state):
            return True
        monkeypatch.setattr(supply, "publish_first", publish)
        for task in waiting(state.model_version):
            person.submit(task)
        return True

    def note_and_flip(client, number, **values):
        waiting_at_the_flip.append(len(waiting(values.get("model_version", ""))))
        flip(client, number, **values)

    monkeypatch.setattr(supply, "publish_first", publish_while_people_label)
    monkeypatch.setattr(LabelStudioClient, "update_project", note_and_flip)
    assert inline.reconcile(project_id)["round"] >= 1
    assert waiting_at_the_flip[0] >= supply.FIRST_TASKS


def test_what_the_admin_asks_for_is_served_first_though_the_queue_was_published(
    inline, connected_project, new_annotator
):
    project_id, task_ids = connected_project(30)
    status = inline.reconcile(project_id)
    person = new_annotator(project_id)
    solved = [person.label_next() for _ in range(3)]
    # How far the queue is published depends on how fast this machine is; the last comes last.
    last = next(i for i in reversed(task_ids) if i not in status["batch"])
    asked = [last, status["batch"][5]]
    inline.journal.asked.first(inline.key(project_id), asked)
    inline.reconcile(project_id)
    assert solved == status["batch"][:3]
    served = [person.label_next() for _ in range(3)]
    assert served == [*asked, status["batch"][3]]


def test_what_the_admin_asks_for_is_still_first_in_the_next_round(
    inline, connected_project, annotator
):
    project_id, task_ids = connected_project(30)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    for _ in status["batch"]:
        person.label_next()
    asked = [i for i in task_ids if i not in status["batch"]][:2]
    inline.journal.asked.first(inline.key(project_id), asked)
    second = inline.reconcile(project_id)
    assert second["round"] == 1
    assert [person.label_next() for _ in range(2)] == asked


def test_no_round_begins_while_the_project_is_paused(inline, connected_project, annotator):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    inline.journal.update_project(inline.key(project_id), is_paused=True)
    person = annotator(project_id)
    for _ in range(9):
        assert person.label_next() is not None
    assert inline.reconcile(project_id)["round"] == 0
    inline.journal.update_project(inline.key(project_id), is_paused=False)
    assert inline.reconcile(project_id)["round"] == 1


def test_project_has_settings_of_its_own(inline, connected_project):
    project_id, _ = connected_project(30)
    key = inline.key(project_id)
    inline.journal.update_project(key, own_settings={"budget": "4", "strategy": "random"})
    status = inline.reconcile(project_id)
    assert len(status["batch"]) == 4
    assert status["last_round"]["settings"]["budget"] == "4"
    assert status["last_round"]["strategy"] == "random"
