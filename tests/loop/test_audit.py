"""Tasks drawn at random to measure the head: where they stand, and what they tell."""

from __future__ import annotations

import httpx
import pytest

from backend.harness.colors import true_color
from tests.loop.conftest import predictions_of

pytestmark = pytest.mark.label_studio
BUDGET = 8


@pytest.fixture
def worker(inline):
    """Half of each batch is drawn."""
    return inline.worker_with(budget=BUDGET, audit=0.5)


@pytest.fixture
def measured_project(inline, worker, connected_project, annotator):
    """A project whose second round is published: project id and annotator."""
    project_id, _ = connected_project(40)
    first = inline.reconcile(project_id, worker)
    person = annotator(project_id)
    for _ in first["batch"]:
        person.label_next()
    inline.reconcile(project_id, worker)
    return project_id, person


def drawn_of(inline, project_id: int) -> list:
    return inline.journal.audits.of(inline.key(project_id))


def test_nothing_is_drawn_before_anything_is_trained(inline, worker, connected_project):
    project_id, _ = connected_project(40)
    inline.reconcile(project_id, worker)
    assert drawn_of(inline, project_id) == []


def test_drawn_tasks_are_of_the_batch_and_carry_no_hint(label_studio, inline, measured_project):
    project_id, _ = measured_project
    status = inline.status(project_id)
    drawn = {found.draw.task_id for found in drawn_of(inline, project_id)}
    assert len(drawn) == BUDGET / 2
    assert drawn < set(status["batch"])
    results = {
        prediction["task"]: prediction["result"]
        for prediction in predictions_of(label_studio, project_id)
        if prediction["model_version"] == status["model_version"]
    }
    assert {task_id for task_id, result in results.items() if not result} == drawn


def test_drawn_tasks_get_no_hint_by_live_prediction_either(label_studio, inline, measured_project):
    project_id, _ = measured_project
    status = inline.status(project_id)
    tasks = [label_studio.api.call("GET", f"/api/tasks/{task_id}") for task_id in status["batch"]]
    body = {"tasks": tasks, "project": inline.key(project_id)}
    answer = httpx.post(f"{inline.url}/predict", json=body).raise_for_status().json()
    unhinted = {
        task["id"]
        for task, found in zip(tasks, answer["results"], strict=True)
        if not found["result"]
    }
    assert unhinted == {found.draw.task_id for found in drawn_of(inline, project_id)}


def test_batch_is_served_in_rank_order_with_what_was_drawn(inline, measured_project):
    project_id, person = measured_project
    batch = inline.status(project_id)["batch"]
    assert [person.label_next() for _ in batch] == batch


def test_audit_is_what_was_predicted_and_what_a_person_chose(inline, worker, measured_project):
    project_id, person = measured_project
    labels = {}
    for _ in inline.status(project_id)["batch"]:
        task = person.open_next()
        labels[task["id"]] = true_color(task["data"])
        person.submit(task)
    before = drawn_of(inline, project_id)
    assert not any(found.is_measured for found in before)
    inline.reconcile(project_id, worker)
    first_round = [found for found in drawn_of(inline, project_id) if found.number == 1]
    assert all(found.is_measured for found in first_round)
    assert {found.draw.task_id: found.class_name for found in first_round} == {
        found.draw.task_id: labels[found.draw.task_id] for found in before
    }
    assert {found.draw.n_labeled for found in first_round} == {BUDGET}
    assert {found.draw.share for found in first_round} == {4 / 32}
    for found in first_round:
        assert sum(found.draw.probabilities.values()) == pytest.approx(1, abs=1e-4)


def test_drawn_tasks_are_trained_on_once_they_measured(inline, worker, measured_project):
    project_id, person = measured_project
    for _ in inline.status(project_id)["batch"]:
        person.label_next()
    status = inline.reconcile(project_id, worker)
    assert status["last_round"]["labels"] == 2 * BUDGET
    drawn = [found for found in drawn_of(inline, project_id) if found.number == 2]
    assert {found.draw.n_labeled for found in drawn} == {2 * BUDGET}
