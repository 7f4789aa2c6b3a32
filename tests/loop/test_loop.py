"""The main job against a running Label Studio: connect, label, and the queue follows."""

from __future__ import annotations

import pytest

from tests.loop.conftest import predictions_of, project_of

pytestmark = pytest.mark.label_studio


def test_round_0_is_published_when_no_task_has_a_label(label_studio, backend, colored_project):
    project_id, task_ids = colored_project(30)
    server = backend()
    server.connect(project_id)
    status = server.wait_for_round(project_id, 0)
    assert len(status["batch"]) == 6
    assert set(status["batch"]) <= set(task_ids)
    project = project_of(label_studio, project_id)
    assert project["sampling"] == "Uncertainty sampling"
    assert project["model_version"] == status["model_version"] == "alfa-mix r0 · 0 labels"


def test_queue_serves_the_published_rank_order_when_one_annotator_works(
    backend, colored_project, annotator
):
    project_id, _ = colored_project(30)
    server = backend()
    server.connect(project_id)
    status = server.wait_for_round(project_id, 0)
    person = annotator(project_id)
    assert [person.label_next() for _ in range(6)] == status["batch"]


def test_next_batch_is_preselected_when_the_batch_is_done(
    label_studio, backend, colored_project, annotator
):
    project_id, _ = colored_project(30)
    server = backend()
    server.connect(project_id)
    first = server.wait_for_round(project_id, 0)
    person = annotator(project_id)
    for _ in first["batch"]:
        person.label_next()
    second = server.wait_for_round(project_id, 1)
    assert second["model_version"] == "alfa-mix r1 · 6 labels"
    assert project_of(label_studio, project_id)["model_version"] == second["model_version"]
    served = []
    for _ in range(6):
        task = person.open_next()
        current = [p for p in task["predictions"] if p["model_version"] == second["model_version"]]
        assert current[0]["result"][0]["value"]["choices"][0] in ("blue", "green", "red")
        person.submit(task)
        served.append(task["id"])
    assert served == second["batch"]


def test_no_task_is_served_twice_when_three_annotators_work_at_once(
    backend, colored_project, new_annotator
):
    project_id, _ = colored_project(30)
    server = backend(BUDGET="9")
    server.connect(project_id)
    status = server.wait_for_round(project_id, 0)
    people = [new_annotator(project_id) for _ in range(3)]
    served = []
    for _ in range(3):
        opened = [person.open_next() for person in people]
        served += [task["id"] for task in opened]
        for person, task in zip(people, opened, strict=True):
            person.submit(task)
    assert served == status["batch"]


def test_pool_empty_is_a_state_when_every_task_is_done(backend, colored_project, annotator):
    project_id, task_ids = colored_project(12)
    server = backend()
    server.connect(project_id)
    server.wait_for_round(project_id, 0)
    person = annotator(project_id)
    for _ in task_ids:
        person.label_next()
    status = server.wait_for_phase(project_id, "pool-empty")
    assert status["last_error"] is None
    assert status["batch"] == []
    assert person.open_next() is None


def test_predictions_are_written_once_when_rounds_follow_each_other(
    label_studio, backend, colored_project, annotator
):
    project_id, _ = colored_project(30)
    server = backend()
    server.connect(project_id)
    server.wait_for_round(project_id, 0)
    person = annotator(project_id)
    for number in (1, 2):
        for _ in range(6):
            person.label_next()
        server.wait_for_round(project_id, number)
    pairs = [(p["task"], p["model_version"]) for p in predictions_of(label_studio, project_id)]
    assert len(pairs) == len(set(pairs))
