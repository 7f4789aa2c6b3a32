"""The Data Manager's tab that shows the queue."""

from __future__ import annotations

import pytest

from backend.label_studio import tab
from backend.label_studio.client import LabelStudioClient

pytestmark = pytest.mark.label_studio
TITLE = "Next to label (active learning)"


def tabs_of(label_studio, project_id):
    tabs = label_studio.api.call("GET", "/api/dm/views/", params={"project": project_id})
    return {tab["data"]["title"]: tab["id"] for tab in tabs}


def tasks_of(label_studio, project_id, tab_id):
    """The task ids of a tab in the order that the Data Manager shows them."""
    parameters = {"project": project_id, "view": tab_id, "page_size": 100}
    reply = label_studio.api.call("GET", "/api/tasks", params=parameters)
    return [task["id"] for task in reply["tasks"]]


def test_tab_shows_the_queue_in_rank_order_round_after_round(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    first = inline.reconcile(project_id)
    tabs = tabs_of(label_studio, project_id)
    assert list(tabs) == ["Default", TITLE]
    queue = first["batch"] + first["reserve"]
    assert tasks_of(label_studio, project_id, tabs[TITLE])[: len(queue)] == queue
    person = annotator(project_id)
    for _ in range(6):
        person.label_next()
    assert tasks_of(label_studio, project_id, tabs[TITLE])[: len(queue) - 6] == queue[6:]
    second = inline.reconcile(project_id)
    assert second["round"] == 1
    assert tabs_of(label_studio, project_id) == tabs
    queue = second["batch"] + second["reserve"]
    shown = tasks_of(label_studio, project_id, tabs[TITLE])
    assert shown[: len(queue)] == queue
    assert len(shown) == 24 - 6


def test_tab_is_not_made_again_when_somebody_deleted_it(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    inline.reconcile(project_id)
    tab_id = tabs_of(label_studio, project_id)[TITLE]
    label_studio.api.call("DELETE", f"/api/dm/views/{tab_id}/")
    person = annotator(project_id)
    for _ in range(6):
        person.label_next()
    status = inline.reconcile(project_id)
    assert (status["round"], status["last_error"]) == (1, None)
    assert list(tabs_of(label_studio, project_id)) == ["Default"]


def test_tab_is_removed_with_the_backend(label_studio, inline, connected_project):
    project_id, _ = connected_project(12)
    inline.reconcile(project_id)
    backend_id = label_studio.api.call("GET", "/api/ml", params={"project": project_id})[0]["id"]
    label_studio.api.call("DELETE", f"/api/ml/{backend_id}")
    inline.reconcile(project_id)
    assert list(tabs_of(label_studio, project_id)) == ["Default"]


def test_selection_shows_as_many_tasks_as_it_may_and_no_others(label_studio, colored_project):
    project_id, task_ids = colored_project(12)
    client = LabelStudioClient(label_studio.url, label_studio.token)
    others = range(task_ids[-1] + 1, task_ids[-1] + 1 + tab.MAX_SELECTED - 5)
    tab_id = tab.make_selection(client, project_id, [*others, *task_ids[3:8]])
    assert sorted(tasks_of(label_studio, project_id, tab_id)) == task_ids[3:8]


def test_newest_selections_stay_beside_the_other_tabs(label_studio, colored_project):
    project_id, task_ids = colored_project(3)
    client = LabelStudioClient(label_studio.url, label_studio.token)
    default = client.create_tab(project_id, {"title": "Default"})
    made = [tab.make_selection(client, project_id, task_ids[:1]) for _ in range(7)]
    assert sorted(client.tabs(project_id)) == [default, *made[-5:]]
