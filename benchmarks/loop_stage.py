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

from backend.errors import DemoError
from backend.harness import project
from backend.harness.annotate import Annotator, Task
from backend.harness.api import Api
from backend.harness.backend_process import Backend, backend_environment, published_number
from backend.harness.child import free_port
from backend.harness.dataset import Dataset
from backend.harness.server import Account, LabelStudioServer
from backend.loop.due import NETWORK_READY
from model_store import phases

LABEL_STUDIO_START_S = 1800.0
# A round may take long on a busy machine, but not for ever.
ROUND_S = 7200.0
# A round that is due begins sooner than this.
SETTLED_S = 5.0


@dataclass(frozen=True)
class Site:
    """A running Label Studio and the images that every project in it labels."""

    server: LabelStudioServer
    api: Api
    images: Dataset

    def true_class(self, data: Mapping[str, Any]) -> str:
        """The class of a task's image."""
        return project.true_class(self.images, data)


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

    def submit(self, task: Task) -> None:
        """Label one task with its true class, as Submit does."""
        self._annotator.submit(task)

    def open_tasks(self) -> list[Task]:
        """The tasks without a label."""
        tasks = project.all_tasks(self.site.api, self.id)
        return [task for task in tasks if not task["is_labeled"]]

    def labeled_task(self) -> Task:
        """One that has a label, with it; DemoError: there is none."""
        for task in project.all_tasks(self.site.api, self.id):
            if task["is_labeled"]:
                return self.task(task["id"])
        raise DemoError(f"no task of project {self.id} is labeled; needed is one")

    def task(self, task_id: int) -> Task:
        """A task with its annotations."""
        return self.site.api.call("GET", f"/api/tasks/{task_id}/", params={"resolve_uri": "false"})

    def change(self, fields: Mapping[str, object]) -> None:
        """Set fields of the project."""
        self.site.api.call("PATCH", f"/api/projects/{self.id}/", json=dict(fields))

    def fields(self) -> dict[str, Any]:
        """The project as Label Studio describes it, also in its events."""
        return self.site.api.call("GET", f"/api/projects/{self.id}/")


class Stage:
    """A running backend and the project that is connected to it."""

    def __init__(self, backend: Backend, labeling: LabelingProject) -> None:
        self.client = backend.client
        self.labeling = labeling
        self._backend = backend

    def connect(self) -> float:
        """The moment (seconds since the epoch) when the backend's URL was pasted."""
        pasted_at = time.time()
        self._backend.connect(self.labeling.id)
        return pasted_at

    def status(self) -> dict[str, Any]:
        """What `/status` says of the project, {} before the backend heard of it."""
        return self._backend.status(self.labeling.id)

    def published(self, number: int) -> dict[str, Any]:
        """The status once the queue follows round `number` or a later one.

        DemoError: it took too long, the backend or Label Studio ended.
        """
        return self._status_when(
            f"round {number}", lambda status: published_number(status) >= number
        )

    def with_batch(self, count: int) -> dict[str, Any]:
        """The status once a batch of so many tasks is published: its first ones come before it."""
        return self._status_when(
            f"a batch of {count} tasks", lambda status: len(status["batch"]) >= count
        )

    def published_with(self, labels: int) -> dict[str, Any]:
        """The status once the queue follows a round that knows so many labels."""

        def follows(status: Mapping[str, Any]) -> bool:
            last = status["last_round"]
            return bool(last and last["finished_at"] and last["labels"] >= labels)

        return self._status_when(f"a round with {labels} labels", follows)

    def settled(self) -> dict[str, Any]:
        """The status once there is a queue and for a while nothing is computed, at or behind it."""
        seen: object = None
        resting_since = time.monotonic()

        def rests(status: Mapping[str, Any]) -> bool:
            nonlocal seen, resting_since
            is_idle = status["phase"] in phases.RESTING and status["background"] is None
            queued = len(status["batch"]) + len(status["reserve"])
            now = (published_number(status), queued, is_idle)
            if now != seen or now[0] < 0 or not is_idle:
                seen, resting_since = now, time.monotonic()
            return time.monotonic() - resting_since > SETTLED_S

        return self._status_when("all work to be done", rests)

    def network_taken_over(self) -> dict[str, Any]:
        """The status once the queue follows a round that chose by a fine-tuned network."""
        return self._status_when(
            "a fine-tuned network",
            lambda status: (
                status["last_round"] is not None
                and status["last_round"]["statistics"].get("reason") == NETWORK_READY
            ),
        )

    def label_batch(self, batch: Sequence[int]) -> float:
        """The moment (seconds since the epoch) when the last label of the batch was sent."""
        tasks = [self.labeling.task(task_id) for task_id in batch]
        for task in tasks[:-1]:
            self.labeling.submit(task)
        sent_at = time.time()
        self.labeling.submit(tasks[-1])
        return sent_at

    def is_training(self) -> bool:
        """Whether a network trains or embeds at this moment."""
        return self.status().get("background") is not None

    def start_training(self) -> None:
        """Ask for it as Start Training does, after a label more; returns when it trains.

        DemoError: every task is labeled, or it took too long.
        """
        self.settled()
        open_tasks = self.labeling.open_tasks()
        if not open_tasks:
            raise DemoError("too few images to train that often: give more --images")
        # Start Training trains a network only where it would learn something new.
        self.labeling.submit(open_tasks[-1])
        body = {"action": "START_TRAINING", "project": self.labeling.fields()}
        self.client.post("/webhook", json=body).raise_for_status()
        self._status_when("training", lambda status: bool(status["background"]))

    def restart(self) -> None:
        """End the backend and start it again."""
        self._backend.stop()
        self._backend.start()

    def key(self) -> str:
        """The project as Label Studio names it to a backend."""
        return self.status()["key"]

    def _status_when(
        self, what: str, reached: Callable[[Mapping[str, Any]], bool]
    ) -> dict[str, Any]:
        return self._backend.status_when(
            self.labeling.id,
            what,
            reached,
            timeout_s=ROUND_S,
            check=self.labeling.site.server.child.check,
        )


@contextmanager
def running_stage(
    site: Site, folder: Path, settings: Mapping[str, str], label_studio_url: str | None = None
) -> Iterator[Stage]:
    """A project and a backend of its own, not connected yet; leaving the context ends the backend.

    label_studio_url: where the backend reaches Label Studio, if not where everybody does.
    DemoError: the backend did not start.
    """
    labeling = LabelingProject(site, f"Measured with {folder.name}")
    env = backend_environment({**os.environ, **settings}, folder / "data", site.server, free_port())
    if label_studio_url is not None:
        env["LABEL_STUDIO_URL"] = label_studio_url
    backend = Backend(site.api, env, folder / "backend.log")
    try:
        yield Stage(backend.start(), labeling)
    finally:
        backend.stop()
