"""Tasks as a real Label Studio hands them out."""

from __future__ import annotations

import pytest

from backend.label_studio.annotations import read_task
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.label_config import parse_label_config

LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)


def annotate(label_studio, task_id, **annotation):
    """Submit `dog` for a task, with the given fields changed."""
    region = {"from_name": "label", "to_name": "image", "type": "choices"}
    region["value"] = {"choices": ["dog"]}
    body = {"result": [region]} | annotation
    label_studio.api.call("POST", f"/api/tasks/{task_id}/annotations", json=body)


@pytest.mark.label_studio
@pytest.mark.parametrize("selected", [False, True])
def test_tasks_carry_labels_and_skips_when_read_from_the_api(label_studio, selected):
    project_id = label_studio.create_project(LABEL_CONFIG)
    data = [{"image": f"https://example.com/{number}.png"} for number in range(3)]
    labeled, skipped, untouched = label_studio.import_tasks(project_id, data)
    annotate(label_studio, labeled)
    annotate(label_studio, skipped, result=[], was_cancelled=True)
    client = LabelStudioClient(label_studio.url, label_studio.token)

    if selected:
        tasks = client.selected_tasks(project_id, [labeled, skipped, untouched])
    else:
        tasks = client.tasks(project_id)

    config = parse_label_config(LABEL_CONFIG)
    read = {task.task_id: task for task in (read_task(task, config) for task in tasks)}
    assert [read[task_id].label for task_id in (labeled, skipped, untouched)] == [1, None, None]
    assert [task_id for task_id, task in read.items() if task.is_skipped] == [skipped]
    assert [task_id for task_id, task in read.items() if task.is_done] == [labeled]


@pytest.mark.label_studio
def test_drafted_tasks_are_those_named_of_which_anybody_keeps_a_draft(label_studio):
    project_id = label_studio.create_project(LABEL_CONFIG)
    data = [{"image": f"https://example.com/{number}.png"} for number in range(4)]
    first, second, third, _ = task_ids = label_studio.import_tasks(project_id, data)
    for task_id in (first, third):
        body = {"result": [], "lead_time": 1, "was_postponed": task_id == first}
        label_studio.api.call("POST", f"/api/tasks/{task_id}/drafts", json=body)
    client = LabelStudioClient(label_studio.url, label_studio.token)
    assert client.drafted_task_ids(project_id, task_ids) == [first, third]
    assert client.drafted_task_ids(project_id, [first, second]) == [first]
    assert client.drafted_task_ids(project_id, []) == []


@pytest.mark.label_studio
def test_shared_tasks_are_those_for_more_than_one_person(label_studio):
    project_id = label_studio.create_project(
        LABEL_CONFIG, maximum_annotations=2, overlap_cohort_percentage=50, show_overlap_first=True
    )
    data = [{"image": f"https://example.com/{number}.png"} for number in range(4)]
    task_ids = label_studio.import_tasks(project_id, data)
    client = LabelStudioClient(label_studio.url, label_studio.token)
    shared = client.shared_task_ids(project_id)
    assert len(shared) == 2
    assert set(shared) < set(task_ids)
    assert client.project(project_id).shows_overlap_first
    label_studio.api.call("PATCH", f"/api/projects/{project_id}", json={"maximum_annotations": 1})
    assert not client.project(project_id).shows_overlap_first
