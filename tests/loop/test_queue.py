"""What annotators are handed, in which order, and what is chosen for them already."""

from __future__ import annotations

import pytest

from tests.loop.conftest import CLASSES, project_of

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
