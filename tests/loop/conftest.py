"""A backend beside the session's Label Studio: a tiny ViT, images of three colors, annotators."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from werkzeug.serving import make_server

from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.backend_process import Backend, backend_environment
from backend.harness.child import clean_environment, free_port
from backend.harness.colors import CLASSES, colored_tasks, true_color
from backend.harness.project import connect_backend
from backend.label_studio.access import Access
from backend.loop.background import Background
from backend.loop.context import ProjectContext, WorkerContext
from backend.loop.reconcile import reconcile
from backend.process.startup import open_journal, open_session
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from backend.web.status import status

__all__ = ["CLASSES", "colored_tasks", "true_color"]
LABEL_CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="label" toName="image" choice="single" showInLine="true">
    <Choice value="blue"/><Choice value="green"/><Choice value="red"/>
  </Choices>
</View>"""
WAIT_S = 120.0
# Of a backend in processes of its own.
SETTINGS = {
    "ALFAMIX_POLL_S": "1",
    "ALFAMIX_THREADS": "1",
    "ALFAMIX_FEATURE_BLOCKS": "2",
    "ALFAMIX_FINETUNE": "blocks:1",
    "ALFAMIX_BUDGET": "6",
    "ALFAMIX_AUDIT": "0",
    "ALFAMIX_DEVICE": "cpu",
}


def wait_for(what: str, found: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """The first truthy answer of `found`; fails with `what` where there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(0.2)
    pytest.fail(f"waited {timeout_s:.0f} s for {what}")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ViT of 3 blocks for 32 px, with its card: colors are separable in its features."""
    arguments = {"img_size": 32, "patch_size": 16, "embed_dim": 48, "depth": 3, "num_heads": 3}
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **arguments)
    card = {
        "model": "vit_tiny_patch16_224",
        "model_arguments": arguments,
        "image_px": 32,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    }
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(model.state_dict(), str(path), {"card": json.dumps(card)})
    return path


class InlineBackend:
    """A backend in this process: the web app in a thread, the worker's work when a test asks."""

    def __init__(self, label_studio: Any, settings: Settings) -> None:
        self.label_studio = label_studio
        self.settings = settings
        self.journal = open_journal(settings)
        self.session = open_session(settings)
        self.worker = WorkerContext(settings, self.journal, self.session, _access(settings))
        predictor = Predictor(settings, self.journal, lambda: self.session)
        app = create_app(settings, self.journal, predictor)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def worker_with(self, **settings: Any) -> WorkerContext:
        """The same backend with other settings."""
        changed = replace(self.settings, **settings)
        session = open_session(changed) if "finetune" in settings else self.session
        return WorkerContext(changed, self.journal, session, _access(changed))

    def connect(self, project_id: int) -> str:
        """Paste the URL; the project's key."""
        connect_backend(self.label_studio.api, project_id, self.url)
        return self.key(project_id)

    def key(self, project_id: int) -> str:
        """The connected project as Label Studio names it to a backend."""
        return self.journal.key_of(str(project_id))

    def reconcile(self, project_id: int, worker: WorkerContext | None = None) -> dict[str, Any]:
        """Do the worker's work on one project until nothing is left to do; its status after."""
        worker, key = worker or self.worker, self.key(project_id)
        background = Background(lambda: False)
        while True:
            more = reconcile(worker, key)
            state = self.journal.project(key)
            if state.connected:
                more |= background.advance(ProjectContext.of(worker, state))
            if not more:
                return self.status(project_id)

    def keep_queue(self, project_id: int, worker: WorkerContext | None = None) -> dict[str, Any]:
        """Do what the worker does for the queue, while what is behind it takes long; the status."""
        while reconcile(worker or self.worker, self.key(project_id)):
            pass
        return self.status(project_id)

    def status(self, project_id: int) -> dict[str, Any]:
        projects = status(self.journal)["projects"]
        return next(p for p in projects if p["project_id"] == project_id)


def _access(settings: Settings) -> Access:
    return Access(settings.label_studio_url, settings.label_studio_api_key)


@pytest.fixture(scope="session")
def inline(
    label_studio: Any, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InlineBackend]:
    """One backend for all tests that need no process of its own; batches of 6."""
    torch.set_num_threads(1)
    settings = Settings(
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.token,
        model_dir=tmp_path_factory.mktemp("model-dir"),
        backbone_weights=tiny_weights,
        feature_blocks=2,
        finetune="head",
        budget=6,
        audit=0.0,
        lookahead=1.0,
        device="cpu",
        poll_s=0.0,
    )
    backend = InlineBackend(label_studio, settings)
    yield backend
    backend.close()


@pytest.fixture
def backend(label_studio: Any, tmp_path: Path, tiny_weights: Path) -> Iterator[Callable]:
    """Makes backends that end with the test: `backend(BUDGET="6")` sets ALFAMIX_BUDGET."""
    made: list[Backend] = []

    def make(start: bool = True, **settings: str) -> Backend:
        folder = tmp_path / f"backend{len(made)}"
        chosen = {f"ALFAMIX_{name}": value for name, value in settings.items()}
        environ = clean_environment(os.environ) | SETTINGS | chosen
        environ.setdefault("ALFAMIX_BACKBONE_WEIGHTS", str(tiny_weights))
        # Where these tests run with another SDK, so does the backend.
        environ["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        server = label_studio.server
        env = backend_environment(environ, folder / "data", server, free_port())
        made.append(Backend(label_studio.api, env, folder / "backend.log"))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def annotator(label_studio: Any) -> Callable[[int], Annotator]:
    """The admin as an annotator of a project."""
    return lambda project_id: Annotator(label_studio.api, project_id, true_color)


@pytest.fixture
def new_annotator(label_studio: Any) -> Iterator[Callable[[int], Annotator]]:
    """Makes annotators who are users of their own."""
    apis: list[Api] = []

    def make(project_id: int) -> Annotator:
        _email, _password, token = label_studio.create_user()
        apis.append(Api(label_studio.url, token))
        return Annotator(apis[-1], project_id, true_color)

    yield make
    for api in apis:
        api.close()


@pytest.fixture
def colored_project(label_studio: Any) -> Callable[..., tuple[int, list[int]]]:
    """Makes projects of colored images: project id and task ids."""

    def make(count: int = 30, seed: int = 0, **fields: Any) -> tuple[int, list[int]]:
        project_id = label_studio.create_project(LABEL_CONFIG, **fields)
        return project_id, label_studio.import_tasks(project_id, colored_tasks(count, seed))

    return make


@pytest.fixture
def connected_project(
    inline: InlineBackend, colored_project: Callable[..., tuple[int, list[int]]]
) -> Callable[..., tuple[int, list[int]]]:
    """Makes projects of colored images with the backend's URL pasted: project id and task ids."""

    def make(count: int = 30, seed: int = 0, **fields: Any) -> tuple[int, list[int]]:
        project_id, task_ids = colored_project(count, seed, **fields)
        inline.connect(project_id)
        return project_id, task_ids

    return make


def project_of(label_studio: Any, project_id: int) -> dict[str, Any]:
    """A project as the API shows it."""
    return label_studio.api.call("GET", f"/api/projects/{project_id}")


def predictions_of(
    label_studio: Any, project_id: int, version: str | None = None
) -> list[dict[str, Any]]:
    """All predictions of a project, or those of one version."""
    params = {"project": project_id}
    found = label_studio.api.call("GET", "/api/predictions/", params=params)
    return [one for one in found if version is None or one["model_version"] == version]
