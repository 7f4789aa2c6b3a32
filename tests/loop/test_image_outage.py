"""A pool whose images cannot be had for a while because of Label Studio: nothing is given up."""

from __future__ import annotations

import base64

import pytest

from backend.harness.proxy import Failure, Proxy, never
from backend.loop.worker import Worker
from tests.loop.conftest import LABEL_CONFIG, colored_tasks

pytestmark = pytest.mark.label_studio
TASKS = 8


def local_files(label_studio, project_id):
    """Task data of images that Label Studio serves from its disk."""
    folder = label_studio.document_root / f"outage{project_id}"
    folder.mkdir()
    label_studio.serve_local_files(project_id, folder)
    for number, task in enumerate(colored_tasks(TASKS)):
        content = task["image"].partition(",")[2]
        (folder / f"{number}.png").write_bytes(base64.b64decode(content))
        yield {**task, "image": f"/data/local-files/?d={folder.name}/{number}.png"}


def no_files(_method: str, path: str) -> Failure | None:
    return Failure.REFUSED if path.startswith("/data/") else None


def test_no_task_is_unreadable_after_an_outage_and_one_is_that_is_gone(label_studio, inline):
    project_id = label_studio.create_project(LABEL_CONFIG)
    label_studio.import_tasks(project_id, list(local_files(label_studio, project_id)))
    gone = {"image": "/data/upload/0/gone.png"}
    [gone_id] = label_studio.import_tasks(project_id, [gone])
    key = inline.connect(project_id)
    with Proxy(label_studio.url) as proxy:
        worker = Worker(inline.worker_with(label_studio_url=proxy.url))

        def work():
            state = inline.journal.project(key)
            return worker.work_on(state) | worker.compute_for(state)

        proxy.fails = no_files
        for _ in range(3):
            work()
        status = inline.status(project_id)
        assert status["unreadable"] == []
        assert "hands out no files" in status["last_error"]
        proxy.fails = never
        while work():
            pass
    status = inline.status(project_id)
    assert status["last_error"] is None
    assert [entry["task_id"] for entry in status["unreadable"]] == [gone_id]
    assert "may have been deleted" in status["unreadable"][0]["reason"]
    assert status["round"] == 0
    assert len(status["batch"]) == 6
