"""What `benchmarks.loop` measures on: a Label Studio, projects in it, and a backend with a round.

Built from the demo's pieces; everything lives in one folder and ends with its context.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from backend.demo import project
from backend.demo.rounds_report import RESTING_PHASES
from backend.errors import DemoError
from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.backend_process import Backend, backend_environment
from backend.harness.child import free_port
from backend.harness.dataset import Dataset
from backend.harness.server import Account, LabelStudioServer

LABEL_STUDIO_START_S = 1800.0
# A round may take long on a busy machine, but not for ever.
ROUND_S = 7200.0
POLL_S = 0.1
TRAINING_PHASES = ("train", "embed")


@dataclass(frozen=True)
class Site:
    """A running Label Studio and the images that every project in it labels."""

    server: LabelStudioServer
    api: Api
    images: Dataset

    def true_class(self, url: str) -> str:
        """The class of a task's image."""
        return self.images.pool[project.image_path(self.images, url)]


@contextmanager
def running_site(binary: Path, folder: Path, images: Dataset) -> Iterator[Site]:
    """A Label Studio of its own in `folder`; leaving the context ends it.

    DemoError: no such binary, or it did not start.
    """
    admin = Account("admin@example.com", secrets.token_urlsafe(9), secrets.token_hex(20))
    root = images.root.parent
    with LabelStudioServer.start(
        binary, folder, admin, root, timeout_s=LABEL_STUDIO_START_S
    ) as server:
        api = Api(server.url, server.token)
        try:
            yield Site(server, api, images)
        finally:
            api.close()


class LabelingProject:
    """One project with all images, labeled through the API from their true classes."""

    def __init__(self, site: Site, title: str) -> None:
        self.site = site
        self.id = project.create_project(site.api, title, site.images)
        project.import_pool(site.api, self.id, site.images)
        self._annotator = Annotator(site.api, self.id, site.true_class)

    def submit(self, task: Mapping[str, Any]) -> None:
        """Label one task with its true class, as Submit does."""
        self._annotator.submit(task)

    def open_tasks(self) -> list[Mapping[str, Any]]:
        """The tasks without a label."""
        tasks = project.all_tasks(self.site.api, self.id)
        return [task for task in tasks if not task["is_labeled"]]

    def labeled_task(self) -> dict[str, Any]:
        """One that has a label, with it; DemoError: there is none."""
        for task in project.all_tasks(self.site.api, self.id):
            if task["is_labeled"]:
                return self.task(task["id"])
        raise DemoError(f"no task of project {self.id} is labeled; needed is one")

    def task(self, task_id: int) -> dict[str, Any]:
        """A task with its annotations."""
        return self.site.api.call("GET", f"/api/tasks/{task_id}/", params={"resolve_uri": "false"})

    def fields(self) -> dict[str, Any]:
        """The project as Label Studio describes it, also in its events."""
        return self.site.api.call("GET", f"/api/projects/{self.id}/")


class Stage:
    """A running backend and the project that is connected to it."""

    def __init__(self, backend: Backend, labeling: LabelingProject) -> None:
        self.backend = backend
        self.labeling = labeling
        self.client = httpx.Client(base_url=backend.url, timeout=60.0)

    def connect(self) -> float:
        """Paste the backend's URL; the moment (seconds since the epoch) when that was done."""
        pasted_at = time.time()
        project.connect_backend(self.labeling.site.api, self.labeling.id, self.backend.url)
        return pasted_at

    def status(self) -> dict[str, Any]:
        """What `/status` says of the project, {} before the backend heard of it."""
        projects = self.client.get("/status").raise_for_status().json()["projects"]
        return next((found for found in projects if found["project_id"] == self.labeling.id), {})

    def published(self, number: int) -> dict[str, Any]:
        """The status once the queue follows round `number` or a later one and nothing trains.

        DemoError: it took too long, the backend or Label Studio ended.
        """
        return self._status_when(
            f"round {number}",
            lambda status: (
                _published_number(status) >= number and status["phase"] in RESTING_PHASES
            ),
        )

    def label_batch(self, batch: Sequence[int]) -> float:
        """Label the batch; the moment (seconds since the epoch) when its last label was sent."""
        tasks = [self.labeling.task(task_id) for task_id in batch]
        for task in tasks[:-1]:
            self.labeling.submit(task)
        sent_at = time.time()
        self.labeling.submit(tasks[-1])
        return sent_at

    def is_training(self) -> bool:
        """Whether a round trains or embeds at this moment."""
        return self.status()["phase"] in TRAINING_PHASES

    def start_round(self) -> int:
        """Ask for a round as Start Training does; its number, as soon as it trains (or is done)."""
        number = _published_number(self.published(0)) + 1
        body = {"action": "START_TRAINING", "project": self.labeling.fields()}
        self.client.post("/webhook", json=body).raise_for_status()
        self._status_when(
            f"the start of round {number}",
            lambda status: (
                _published_number(status) >= number
                or (status["round"] >= number and status["phase"] in TRAINING_PHASES)
            ),
        )
        return number

    def key(self) -> str:
        """The project as Label Studio names it to a backend."""
        return self.status()["key"]

    def _status_when(
        self, what: str, reached: Callable[[dict[str, Any]], bool], timeout_s: float = ROUND_S
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while True:
            self.backend.child.check()
            self.labeling.site.server.child.check()
            status = self.status()
            if status and reached(status):
                return status
            if time.monotonic() > deadline:
                raise DemoError(
                    f"waited {timeout_s:.0f} s for {what}; the backend is in phase "
                    f"{status.get('phase')}, its last error: {status.get('last_error')}"
                )
            time.sleep(POLL_S)


@contextmanager
def running_stage(site: Site, folder: Path, settings: Mapping[str, str]) -> Iterator[Stage]:
    """A project and a backend of its own, not connected yet; leaving the context ends the backend.

    DemoError: the backend did not start.
    """
    labeling = LabelingProject(site, f"Measured with {folder.name}")
    env = backend_environment({**os.environ, **settings}, folder / "data", site.server, free_port())
    backend = Backend.start(env, folder / "backend.log")
    stage = Stage(backend, labeling)
    try:
        yield stage
    finally:
        stage.client.close()
        backend.child.stop()


def _published_number(status: Mapping[str, Any]) -> int:
    published = status["last_round"]
    return -1 if published is None else published["number"]
