"""The map of the pool and the reasons of the batch, as a round leaves them."""

from __future__ import annotations

import numpy as np
import pytest

from backend.harness.colors import true_color
from backend.loop import maps
from backend.loop.context import ProjectContext
from model_store.maps import read_map
from model_store.reasons import read_reasons

pytestmark = pytest.mark.label_studio


def folder_of(inline, project_id: int):
    state = inline.journal.project(inline.key(project_id))
    return ProjectContext.of(inline.worker, state).folder


def test_map_shows_all_tasks_and_what_is_alike_lies_together(
    label_studio, inline, connected_project
):
    project_id, task_ids = connected_project(30)
    inline.reconcile(project_id)
    found = read_map(folder_of(inline, project_id).map_file(0))
    assert found.task_ids.tolist() == sorted(task_ids)
    tasks = [label_studio.api.call("GET", f"/api/tasks/{task_id}") for task_id in found.task_ids]
    colors = np.array([true_color(task["data"]) for task in tasks])
    centers = {color: found.points[colors == color].mean(0) for color in np.unique(colors)}
    for color, point in zip(colors, found.points, strict=True):
        distances = {name: np.linalg.norm(point - center) for name, center in centers.items()}
        assert min(distances, key=distances.get) == color


def test_map_lies_as_the_last_one_did_and_holds_the_batch_though_points_are_few(
    inline, connected_project, annotator, monkeypatch
):
    monkeypatch.setattr(maps, "MOST_POINTS", 20)
    project_id, _ = connected_project(30)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    for _ in status["batch"]:
        person.label_next()
    status = inline.reconcile(project_id)
    before, after = (read_map(folder_of(inline, project_id).map_file(n)) for n in (0, 1))
    assert set(status["batch"]) <= set(after.task_ids.tolist())
    assert len(after.task_ids) == 20
    _, here, there = np.intersect1d(after.task_ids, before.task_ids, return_indices=True)
    moved = np.linalg.norm(after.points[here] - before.points[there], axis=1)
    assert np.median(moved) < 0.2 * np.linalg.norm(before.points, axis=1).max()


def test_reasons_of_a_batch_name_the_labeled_task_that_is_most_alike(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(30)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    for _ in status["batch"]:
        person.label_next()
    second = inline.reconcile(project_id)
    reasons = read_reasons(folder_of(inline, project_id).reasons_file(1))
    assert reasons.task_ids[: len(second["batch"])].tolist() == second["batch"]
    assert set(reasons.nearest_labeled.tolist()) <= set(status["batch"])
    assert reasons.cluster_sizes[: len(second["batch"])].sum() == 24
