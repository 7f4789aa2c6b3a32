"""Addresses that tasks name, against a running Label Studio: who is asked, and with what."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from backend.harness.annotate import choice
from tests.label_studio.recording_server import RecordingServer, Reply, recording_server
from tests.loop.conftest import LABEL_CONFIG, colored_tasks

pytestmark = pytest.mark.label_studio


@pytest.fixture
def images() -> Iterator[RecordingServer]:
    """A server on a loopback address that nobody named, with images that could be read."""
    with recording_server() as server:
        content = colored_tasks(1, seed=99)[0]["image"].partition(",")[2]
        server.replies["/a.png"] = Reply(body=base64.b64decode(content))
        yield server


def labeled_project(label_studio, inline, *uris):
    """A project with a trained network; its key, and the ids of further tasks with `uris`."""
    project_id = label_studio.create_project(LABEL_CONFIG)
    labeled = [
        {"data": data, "annotations": [{"result": choice(data["truth"])}]}
        for data in colored_tasks(9)
    ]
    label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=labeled)
    label_studio.import_tasks(project_id, colored_tasks(6, seed=3))
    ids = label_studio.import_tasks(project_id, [{"image": uri} for uri in uris]) if uris else []
    key = inline.connect(project_id)
    return key, ids, inline.reconcile(project_id)


def test_status_tells_what_to_name_when_images_lie_on_a_loopback_address(
    label_studio, inline, images
):
    _, ids, status = labeled_project(label_studio, inline, f"{images.url}/a.png")
    [entry] = status["unreadable"]
    assert entry["task_id"] == ids[0]
    assert "name it in ALFAMIX_IMAGE_HOSTS" in entry["reason"]
    assert images.requests == []


def test_predict_asks_no_loopback_address_when_it_is_not_named(label_studio, inline, images):
    key, _, _ = labeled_project(label_studio, inline)
    tasks = [{"id": 1, "data": {"image": f"{images.url}/a.png"}}]
    body = {"project": key, "tasks": tasks, "label_config": LABEL_CONFIG}
    results = httpx.post(f"{inline.url}/predict", json=body, timeout=60).json()["results"]
    assert results[0]["result"] == []
    assert images.requests == []


def test_status_holds_no_part_of_the_token_when_a_task_names_its_address(label_studio, inline):
    uris = [
        f"{label_studio.url}/api/current-user/token",
        "/api/current-user/token",
        f"{label_studio.url}/data/upload/../../api/current-user/token",
    ]
    _, ids, status = labeled_project(label_studio, inline, *uris)
    entries = {entry["task_id"]: entry["reason"] for entry in status["unreadable"]}
    assert sorted(entries) == ids
    for reason in entries.values():
        assert "HTTP 401" in reason
        assert label_studio.token[:8] not in reason
        assert "detail" not in reason


@pytest.mark.parametrize("host", ["a..b", "a" * 70, "xn--"])
def test_other_tasks_are_queued_when_a_host_name_is_malformed(label_studio, inline, host):
    _, ids, status = labeled_project(label_studio, inline, f"http://{host}/x.png")
    assert status["last_error"] is None
    assert [entry["task_id"] for entry in status["unreadable"]] == ids
    assert len(status["batch"]) == 6
