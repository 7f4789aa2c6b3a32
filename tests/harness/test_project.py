"""The sample project in a real Label Studio."""

from __future__ import annotations

import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import httpx
import pytest
from PIL import Image

from backend.harness import project
from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.crew import Crew
from backend.harness.dataset import Dataset, read_dataset
from backend.harness.people import annotator_account
from backend.harness.person import Habits


class EmptyBackend(BaseHTTPRequestHandler):
    """Lets itself be connected, and does nothing."""

    def do_GET(self):
        self._answer({"status": "UP"})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"model_version": "empty"})

    def _answer(self, reply):
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def backend_urls():
    """Two addresses of one backend."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyBackend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost")]
        server.shutdown()


@pytest.fixture(scope="module")
def images(label_studio) -> Dataset:
    """Twelve images of two classes below the document root."""
    root = label_studio.document_root / "demo images"
    for name in ("cat & dog", "7"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (8, 8), number).save(root / name / f"{number}%.png")
    return read_dataset(root, random.Random(0))


@pytest.fixture
def project_id(label_studio, images) -> int:
    project_id = project.create_project(label_studio.api, "demo", images)
    project.import_pool(label_studio.api, project_id, images)
    return project_id


def task_images(label_studio, project_id):
    """The images of a project's tasks."""
    query = {"project": project_id, "page_size": 100, "resolve_uri": "false"}
    tasks = label_studio.api.call("GET", "/api/tasks", params=query)["tasks"]
    return [task["data"]["image"] for task in tasks]


def test_image_path_is_the_inverse_of_image_url(tmp_path):
    images = Dataset(tmp_path / "a set", ("x",), {}, {})
    path = "cat & dog/50%? größe#1+2.png"

    assert project.image_path(images, project.image_url(images, path)) == path


def test_label_config_keeps_every_class_name():
    names = ("7", 'a <b> & "c"', "größe")

    view = ElementTree.fromstring(project.label_config(names))

    assert tuple(choice.get("value") for choice in view.iter("Choice")) == names
    assert [choice.get("hotkey") for choice in view.iter("Choice")] == ["7", None, None]


@pytest.mark.label_studio
def test_import_leaves_held_out_images_out(label_studio, images, project_id):
    urls = [project.image_url(images, path) for path in images.pool]

    assert sorted(task_images(label_studio, project_id)) == sorted(urls)


@pytest.mark.label_studio
def test_import_adds_only_what_is_missing_when_it_was_interrupted(label_studio, images):
    project_id = project.create_project(label_studio.api, "interrupted", images)
    first = [{"image": project.image_url(images, path)} for path in list(images.pool)[:3]]
    label_studio.import_tasks(project_id, first)

    project.import_pool(label_studio.api, project_id, images)

    found = task_images(label_studio, project_id)
    assert len(found) == len(set(found)) == len(images.pool)


@pytest.mark.label_studio
def test_every_image_is_served(label_studio, images, project_id):
    for path in images.pool | images.held_out:
        reply = label_studio.session.get(project.image_url(images, path))
        assert reply.content == (images.root / path).read_bytes()


@pytest.mark.label_studio
def test_sync_imports_nothing_when_pressed_in_the_storage_settings(
    label_studio, images, project_id
):
    query = {"project": project_id}
    (storage,) = label_studio.api.call("GET", "/api/storages/localfiles", params=query)

    label_studio.api.call("POST", f"/api/storages/localfiles/{storage['id']}/sync")

    assert len(task_images(label_studio, project_id)) == len(images.pool)


@pytest.mark.label_studio
def test_connection_moves_when_the_backend_has_another_url(label_studio, project_id, backend_urls):
    for url in [*backend_urls, backend_urls[-1]]:
        project.connect_backend(label_studio.api, project_id, url)

    query = {"project": project_id}
    (backend,) = label_studio.api.call("GET", "/api/ml", params=query)
    assert backend["url"] == backend_urls[-1]
    assert backend["readable_state"] == "Connected"


@pytest.mark.label_studio
def test_project_is_missing_when_somebody_deleted_it(label_studio, images):
    project_id = project.create_project(label_studio.api, "deleted", images)
    assert project.project_exists(label_studio.api, project_id)

    label_studio.api.call("DELETE", f"/api/projects/{project_id}/")

    assert not project.project_exists(label_studio.api, project_id)


@pytest.mark.label_studio
def test_people_label_each_task_once_and_truly(label_studio, images, project_id):
    accounts = [annotator_account(label_studio.api, 100 + n, "a long password") for n in range(2)]
    again = annotator_account(label_studio.api, 100, "a long password")
    assert again == accounts[0] != accounts[1]
    apis = [Api(label_studio.url, account.token) for account in accounts]
    annotators = [
        Annotator(api, project_id, lambda data: project.true_class(images, data)) for api in apis
    ]
    crew = Crew(annotators, Habits(pause_s=0.0), random.Random(0))

    crew.start(labels=len(images.pool))
    crew.wait(timeout_s=300)

    tasks = [
        label_studio.api.call("GET", f"/api/tasks/{event.task_id}/")
        for event in crew.events
        if event.action == "submit"
    ]
    assert len({task["id"] for task in tasks}) == len(images.pool)
    for task in tasks:
        (annotation,) = task["annotations"]
        true = images.pool[project.image_path(images, task["data"]["image"])]
        assert annotation["result"][0]["value"]["choices"] == [true]


@pytest.mark.label_studio
def test_held_out_images_are_not_served_when_nobody_signed_in(label_studio, images, project_id):
    path = next(iter(images.held_out))

    reply = httpx.get(label_studio.url + project.image_url(images, path), timeout=60)

    assert reply.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
