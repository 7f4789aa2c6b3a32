"""The backend that the demo starts, and what the demo asks it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.harness.child import Child
from backend.harness.server import LabelStudioServer

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 600.0
REQUEST_TIMEOUT_S = 600.0
PREDICT_CHUNK = 50


@dataclass(frozen=True)
class ProjectStatus:
    """What `/status` says of one project; `round` is the one that the queue follows."""

    key: str
    phase: str
    done: int
    total: int
    round: int | None
    labels: int
    batch: tuple[int, ...]
    error: str | None

    @property
    def pool_is_empty(self) -> bool:
        """Whether there is nothing left to label."""
        return self.phase == "pool-empty"


class Backend:
    """A running backend."""

    def __init__(self, child: Child, url: str) -> None:
        self.url = url
        self.child = child
        self._session = httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_S)

    @classmethod
    def start(cls, env: Mapping[str, str], log: Path) -> Backend:
        """Start `python -m backend serve`; DemoError: it ended or never answered."""
        url = f"http://localhost:{env['PORT']}"
        child = Child.start("The backend", [sys.executable, "-m", "backend", "serve"], env, log)
        try:
            child.wait_until_healthy(url, START_TIMEOUT_S)
        except BaseException:
            child.stop()
            raise
        return cls(child, url)

    def status(self, project_id: int) -> ProjectStatus | None:
        """The project's state, None before the backend heard of it or while it does not answer."""
        try:
            reply = self._session.get("/status").raise_for_status().json()
        except httpx.TransportError:
            return None
        found = [project for project in reply["projects"] if project["project_id"] == project_id]
        # The last one: an id may have belonged to a project that was deleted.
        return _project_status(found[-1]) if found else None

    def predict(self, key: str, urls: Sequence[str]) -> list[str | None]:
        """The class that the current network gives to each image, None where it gives none."""
        chunks = [
            urls[start : start + PREDICT_CHUNK] for start in range(0, len(urls), PREDICT_CHUNK)
        ]
        return [name for chunk in chunks for name in self._predict(key, chunk)]

    def _predict(self, key: str, urls: Sequence[str]) -> list[str | None]:
        tasks = [{"id": -number, "data": {"image": url}} for number, url in enumerate(urls, 1)]
        body = {"tasks": tasks, "project": key}
        reply = self._session.post("/predict", json=body).raise_for_status().json()
        return [_class_name(prediction) for prediction in reply["results"]]


def backend_environment(
    environ: Mapping[str, str], folder: Path, label_studio: LabelStudioServer, port: int
) -> dict[str, str]:
    """`environ` with what the demo decides about the backend."""
    python_path = filter(None, [str(ROOT), environ.get("PYTHONPATH")])
    env = dict(environ) | {
        "PYTHONPATH": os.pathsep.join(python_path),
        "LABEL_STUDIO_URL": label_studio.url,
        "LABEL_STUDIO_API_KEY": label_studio.token,
        "MODEL_DIR": str(folder),
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    # Label Studio connects without credentials here.
    return {name: value for name, value in env.items() if not name.startswith("BASIC_AUTH_")}


def _project_status(project: Mapping[str, Any]) -> ProjectStatus:
    published = project["last_round"]
    return ProjectStatus(
        key=project["key"],
        phase=project["phase"],
        done=project["progress"]["done"],
        total=project["progress"]["total"],
        round=None if published is None else published["number"],
        labels=0 if published is None else published["labels"],
        batch=tuple(project["batch"]),
        error=project["last_error"],
    )


def _class_name(prediction: Mapping[str, Any]) -> str | None:
    result = prediction["result"]
    return result[0]["value"]["choices"][0] if result else None
