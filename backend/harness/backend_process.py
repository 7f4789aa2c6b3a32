"""A backend in processes of its own, as an admin starts it, and what it can be asked."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.errors import DemoError
from backend.harness.api import Api, patiently
from backend.harness.child import Child
from backend.harness.project import connect_backend
from backend.harness.server import LabelStudioServer
from model_store import phases

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 600.0
REQUEST_TIMEOUT_S = 600.0
ROUND_TIMEOUT_S = 600.0
POLL_S = 0.1
PREDICT_CHUNK = 25


@dataclass(frozen=True)
class ProjectStatus:
    """What `/status` says of one project.

    round, labels, strategy: of the round that the queue follows, None and 0 before the first.
    strategy: the one that chose the round's batch.
    """

    key: str
    phase: str
    done: int
    total: int
    round: int | None
    labels: int
    strategy: str | None
    error: str | None

    @property
    def pool_is_empty(self) -> bool:
        """Whether there is nothing left to label."""
        return self.phase == phases.POOL_EMPTY


class Backend:
    """`python -m backend serve` for one Label Studio; it can be started again after `stop`."""

    def __init__(self, api: Api, env: Mapping[str, str], log_file: Path) -> None:
        """`env`: see `backend_environment`; what is changed in it counts from the next start."""
        self.env = dict(env)
        self.port = int(env["PORT"])
        self.url = f"http://localhost:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=REQUEST_TIMEOUT_S)
        self._api = api
        self._log_file = log_file
        self._child: Child | None = None

    def start(self, *, healthy: bool = True) -> Backend:
        """This backend, started and answering; with `healthy=False`, only started.

        DemoError: it ended or never answered; `stop` ends what is left of it.
        """
        command = [sys.executable, "-m", "backend", "serve"]
        self._child = Child.start("The backend", command, self.env, self._log_file)
        if healthy:
            self._child.wait_until_healthy(self.url, START_TIMEOUT_S)
        return self

    def stop(self) -> None:
        """End its processes; returns when they are gone."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.running

    def check(self) -> None:
        """DemoError: it ended by itself; quotes the end of its log."""
        if self._child is not None:
            self._child.check()

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self._log_file.read_text(errors="replace")

    def connect(self, project_id: int) -> None:
        """Paste its URL into the project's Model page, or move the connection there."""
        patiently(lambda: connect_backend(self._api, project_id, self.url))

    def status(self, project_id: int) -> dict[str, Any]:
        """What `/status` says of the project, {} before it heard of it or while it is silent.

        {} also where it says that it cannot read its journal.
        """
        try:
            reply = self.client.get("/status")
        except httpx.TransportError:
            return {}
        if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            return {}
        projects = reply.raise_for_status().json()["projects"]
        found = [project for project in projects if project["project_id"] == project_id]
        # The last one: an id may have belonged to a project that was deleted.
        return found[-1] if found else {}

    def project(self, project_id: int) -> ProjectStatus | None:
        """The project's state, None before it heard of it or while it is silent."""
        found = self.status(project_id)
        return _project_status(found) if found else None

    def wait_for_round(self, project_id: int, number: int) -> dict[str, Any]:
        """The status once the queue follows round `number` or a later one.

        DemoError: it took too long, or the backend ended.
        """
        return self.status_when(
            project_id, f"round {number}", lambda status: published_number(status) >= number
        )

    def status_when(
        self,
        project_id: int,
        what: str,
        reached: Callable[[Mapping[str, Any]], bool],
        *,
        timeout_s: float = ROUND_TIMEOUT_S,
        check: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """The project's status once `reached` says so; `check` may raise to end the wait.

        DemoError: it took too long, or the backend ended.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self.check()
            check()
            status = self.status(project_id)
            if status and reached(status):
                return status
            if time.monotonic() > deadline:
                raise DemoError(
                    f"waited {timeout_s:.0f} s for {what}; the backend is in phase "
                    f"{status.get('phase')}, its last error: {status.get('last_error')}. "
                    f"{self._quoted_log()}"
                )
            time.sleep(POLL_S)

    def predict(self, key: str, urls: Sequence[str]) -> list[str | None]:
        """The class that the current network gives to each image, None where it gives none."""
        chunks = [
            urls[start : start + PREDICT_CHUNK] for start in range(0, len(urls), PREDICT_CHUNK)
        ]
        return [name for chunk in chunks for name in self._predict(key, chunk)]

    def _quoted_log(self) -> str:
        return "" if self._child is None else self._child.quoted_log()

    def _predict(self, key: str, urls: Sequence[str]) -> list[str | None]:
        tasks = [{"id": -number, "data": {"image": url}} for number, url in enumerate(urls, 1)]
        body = {"tasks": tasks, "project": key}
        reply = self.client.post("/predict", json=body).raise_for_status().json()
        return [_class_name(prediction) for prediction in reply["results"]]


def backend_environment(
    environ: Mapping[str, str], folder: Path, label_studio: LabelStudioServer, port: int
) -> dict[str, str]:
    """`environ` with what ties a backend to its folder, its Label Studio and its port."""
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


def published_number(status: Mapping[str, Any]) -> int:
    """The number of the round that the queue follows, -1 before the first; from `/status`."""
    published = status["last_round"]
    return -1 if published is None else published["number"]


def _project_status(project: Mapping[str, Any]) -> ProjectStatus:
    published = project["last_round"]
    return ProjectStatus(
        key=project["key"],
        phase=project["phase"],
        done=project["progress"]["done"],
        total=project["progress"]["total"],
        round=None if published is None else published["number"],
        labels=0 if published is None else published["labels"],
        strategy=None if published is None else published["statistics"].get("strategy"),
        error=project["last_error"],
    )


def _class_name(prediction: Mapping[str, Any]) -> str | None:
    result = prediction["result"]
    return result[0]["value"]["choices"][0] if result else None
