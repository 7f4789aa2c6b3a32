"""A backend beside the session's Label Studio: a tiny ViT, images of three colors, annotators."""

from __future__ import annotations

import base64
import colorsys
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from werkzeug.serving import make_server

from backend.harness.api import Api
from backend.harness.child import Child, clean_environment, free_port
from backend.label_studio.access import Access
from backend.loop.reconcile import Office, reconcile
from backend.process.startup import open_journal, open_session
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from backend.web.status import status

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("blue", "green", "red")
HUES = {"red": 0.0, "green": 1 / 3, "blue": 2 / 3}
LABEL_CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Choices name="label" toName="image" choice="single" showInLine="true">
    <Choice value="blue"/><Choice value="green"/><Choice value="red"/>
  </Choices>
</View>"""
WAIT_S = 120.0


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


def colored_image(color: str, generator: np.random.Generator) -> str:
    """A noisy 16 px PNG of one color as a data: URI; each is different."""
    hue = (HUES[color] + generator.uniform(-0.08, 0.08)) % 1
    rgb = np.array(colorsys.hsv_to_rgb(hue, 0.9, generator.uniform(0.5, 1.0)))
    pixels = np.clip(rgb + generator.normal(0, 0.08, (16, 16, 3)), 0, 1) * 255
    data = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def colored_tasks(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Task data of images whose colors take turns; `truth` names the color."""
    generator = np.random.default_rng(seed)
    colors = [CLASSES[number % len(CLASSES)] for number in range(count)]
    return [{"image": colored_image(color, generator), "truth": color} for color in colors]


class Backend:
    """One running `python -m backend serve` and its folder."""

    def __init__(self, label_studio: Any, folder: Path, env: Mapping[str, str]) -> None:
        self.label_studio = label_studio
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            **clean_environment(os.environ),
            "LABEL_STUDIO_URL": label_studio.url,
            "LABEL_STUDIO_API_KEY": label_studio.token,
            "MODEL_DIR": str(folder / "data"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "ALFAMIX_POLL_S": "1",
            "ALFAMIX_THREADS": "1",
            "ALFAMIX_FEATURE_BLOCKS": "2",
            "ALFAMIX_FINETUNE": "blocks:1",
            "ALFAMIX_BUDGET": "6",
            "ALFAMIX_DEVICE": "cpu",
            **env,
        }
        self._child: Child | None = None

    def start(self, command: str = "serve", healthy: bool = True) -> Backend:
        log = self.folder / "backend.log"
        arguments = [sys.executable, "-m", "backend", command]
        self._child = Child.start("backend", arguments, self.env, log, cwd=ROOT)
        if healthy:
            self._child.wait_until_healthy(self.url, WAIT_S)
        return self

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def log(self) -> str:
        return (self.folder / "backend.log").read_text()

    def status(self, project_id: int) -> dict[str, Any]:
        projects = httpx.get(f"{self.url}/status", timeout=30).json()["projects"]
        return next((p for p in projects if p["project_id"] == project_id), {})

    def connect(self, project_id: int) -> None:
        """What the Model page does with the pasted URL."""
        row = {"project": project_id, "url": self.url, "title": "ALFA-Mix"}
        self.label_studio.api.call("POST", "/api/ml", json=row)

    def wait_for_round(self, project_id: int, number: int) -> dict[str, Any]:
        """The status once the queue follows round `number` or a later one."""

        def published() -> dict[str, Any] | None:
            status = self.status(project_id)
            last = status.get("last_round")
            return status if last and last["number"] >= number else None

        return wait_for(f"round {number}; log:\n{self.log[-3000:]}", published)

    def wait_for_phase(self, project_id: int, phase: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            status = self.status(project_id)
            return status if status.get("phase") == phase else None

        return wait_for(f"phase {phase}", reached)


class InlineBackend:
    """A backend in this process: the web app in a thread, the worker's work when a test asks."""

    def __init__(self, label_studio: Any, settings: Settings) -> None:
        self.label_studio = label_studio
        self.settings = settings
        self.journal = open_journal(settings)
        self.session = open_session(settings)
        self.office = Office(settings, self.journal, self.session, _access(settings))
        predictor = Predictor(settings, self.journal, lambda: self.session)
        app = create_app(settings, self.journal, predictor)
        self._server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def office_with(self, **settings: Any) -> Office:
        """The same backend with other settings."""
        changed = replace(self.settings, **settings)
        return replace(self.office, settings=changed, access=_access(changed))

    def connect(self, project_id: int) -> str:
        """Paste the URL; the project's key."""
        row = {"project": project_id, "url": self.url, "title": "ALFA-Mix"}
        self.label_studio.api.call("POST", "/api/ml", json=row)
        return self.journal.key_of(str(project_id))

    def reconcile(self, project_id: int, office: Office | None = None) -> dict[str, Any]:
        """Do the worker's work on one project; its status after."""
        reconcile(office or self.office, self.journal.key_of(str(project_id)))
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
        finetune="blocks:1",
        budget=6,
        device="cpu",
    )
    backend = InlineBackend(label_studio, settings)
    yield backend
    backend.close()


@dataclass
class Annotator:
    """Somebody who presses Label All Tasks: the same calls as the page's."""

    api: Api
    project_id: int

    def open_next(self) -> dict[str, Any] | None:
        reply = self.api.session.get(f"/api/projects/{self.project_id}/next")
        return None if reply.status_code == 404 else reply.json()

    def submit(self, task: Mapping[str, Any], class_name: str | None = None) -> int:
        body = {"result": choice(class_name or task["data"]["truth"])}
        return self.api.call("POST", f"/api/tasks/{task['id']}/annotations/", json=body)["id"]

    def skip(self, task: Mapping[str, Any]) -> None:
        body = {"result": [], "was_cancelled": True}
        self.api.call("POST", f"/api/tasks/{task['id']}/annotations/", json=body)

    def label_next(self) -> int | None:
        task = self.open_next()
        if task is None:
            return None
        self.submit(task)
        return task["id"]


def choice(class_name: str) -> list[dict[str, Any]]:
    """An annotation's result."""
    value = {"choices": [class_name]}
    return [{"from_name": "label", "to_name": "image", "type": "choices", "value": value}]


@pytest.fixture
def backend(label_studio: Any, tmp_path: Path, tiny_weights: Path) -> Iterator[Callable]:
    """Makes backends that end with the test: `backend(BUDGET="6")` sets ALFAMIX_BUDGET."""
    made: list[Backend] = []

    def make(start: bool = True, **settings: str) -> Backend:
        folder = tmp_path / f"backend{len(made)}"
        folder.mkdir()
        env = {"ALFAMIX_BACKBONE_WEIGHTS": str(tiny_weights)}
        env |= {f"ALFAMIX_{name}": value for name, value in settings.items()}
        made.append(Backend(label_studio, folder, env))
        return made[-1].start() if start else made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def annotator(label_studio: Any) -> Callable[[int], Annotator]:
    """The admin as an annotator of a project."""
    return lambda project_id: Annotator(label_studio.api, project_id)


@pytest.fixture
def new_annotator(label_studio: Any) -> Iterator[Callable[[int], Annotator]]:
    """Makes annotators who are users of their own."""
    apis: list[Api] = []

    def make(project_id: int) -> Annotator:
        _email, _password, token = label_studio.create_user()
        apis.append(Api(label_studio.url, token))
        return Annotator(apis[-1], project_id)

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


def project_of(label_studio: Any, project_id: int) -> dict[str, Any]:
    """A project as the API shows it."""
    return label_studio.api.call("GET", f"/api/projects/{project_id}")


def predictions_of(label_studio: Any, project_id: int) -> list[dict[str, Any]]:
    """All predictions of a project."""
    return label_studio.api.call("GET", "/api/predictions/", params={"project": project_id})
