"""The loop that faults are inflicted on: a project, people who label all the time, a backend.

A lane is a backend and its way to the one Label Studio; a loop is a project in a lane.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import DemoError
from backend.harness import project
from backend.harness.annotate import CONTROL, Annotator
from backend.harness.api import Api
from backend.harness.backend_process import Backend, backend_environment
from backend.harness.child import clean_environment, free_port
from backend.harness.colors import CLASSES, colored_tasks, true_color
from backend.harness.crew import Crew
from backend.harness.people import account_of
from backend.harness.person import Habits
from backend.harness.proxy import Proxy
from backend.harness.server import Account, LabelStudioServer
from backend.process.startup import open_journal
from backend.settings import Settings
from benchmarks.faults.table import Trial
from model_store import versions
from model_store.journal import Journal

BUDGET = 3
PAUSE_S = 2.0
PEOPLE = ("one", "two")
PASSWORD = "people-in-trouble"
# Generous: what takes longer is stuck.
RECOVER_S = 180.0
POLL_S = 0.1
# The backend has looked at its connection by then.
REMOVED_S = 4.0
# A class that nobody chooses: Label Studio lets it be renamed and removed.
SPARE = "none of these"
# A small network, and rounds of few labels.
SETTINGS = {
    "ALFAMIX_BACKBONE": "bundled",
    "ALFAMIX_BUDGET": str(BUDGET),
    "ALFAMIX_LOOKAHEAD": "1",
    "ALFAMIX_FINETUNE": "blocks:1",
    "ALFAMIX_EPOCHS": "5",
    "ALFAMIX_POLL_S": "2",
    "ALFAMIX_THREADS": "1",
    "ALFAMIX_DEVICE": "cpu",
}


@dataclass(frozen=True)
class Site:
    """A running Label Studio, people who have accounts there, and a folder that may be filled.

    The people label in all lanes: a queue is longer the more accounts there are.
    """

    server: LabelStudioServer
    api: Api
    people: Sequence[Api]
    folder: Path


@contextmanager
def running_site(binary: Path, folder: Path) -> Iterator[Site]:
    """A Label Studio of its own in `folder`; leaving the context ends it.

    DemoError: no such binary, or it did not start.
    """
    admin = Account("admin@example.com", secrets.token_urlsafe(9), secrets.token_hex(20))
    root = folder / "files"
    root.mkdir(parents=True)
    with ExitStack() as stack:
        server = stack.enter_context(
            LabelStudioServer.start(binary, folder / "label-studio", admin, root)
        )
        api = Api(server.url, server.token)
        accounts = [account_of(api, f"{name}@example.com", PASSWORD) for name in PEOPLE]
        people = [Api(server.url, account.token) for account in accounts]
        for one in (api, *people):
            stack.callback(one.close)
        yield Site(server, api, people, folder)


@dataclass(frozen=True)
class Lane:
    """A backend, its way to Label Studio, and its people; folder: where both may keep files."""

    site: Site
    backend: Backend
    way: Proxy
    pause_s: float
    folder: Path

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """The backend's journal."""
        journal = open_journal(Settings.from_environ(self.backend.env))
        try:
            yield journal
        finally:
            journal.close()


@contextmanager
def running_lane(
    site: Site,
    name: str,
    settings: Mapping[str, str],
    make: Callable[..., Backend] = Backend,
    *,
    pause_s: float = PAUSE_S,
    model_dir: Path | None = None,
) -> Iterator[Lane]:
    """A lane whose backend runs; leaving the context ends it.

    settings: environment of the backend. pause_s: mean time that a label takes somebody.
    DemoError: the backend did not start.
    """
    folder = site.folder / name
    with ExitStack() as stack:
        way = stack.enter_context(Proxy(site.server.url))
        environ = clean_environment(os.environ) | SETTINGS
        model_dir = model_dir or folder / "data"
        env = backend_environment(environ, model_dir, site.server, free_port())
        env |= {"LABEL_STUDIO_URL": way.url, **settings}
        backend = make(site.api, env, folder / "backend.log")
        stack.callback(backend.stop)
        yield Lane(site, backend.start(), way, pause_s, folder)


class Loop:
    """A project of a lane, connected, with people who can come to work in it."""

    def __init__(self, lane: Lane, tasks: int) -> None:
        """tasks: how many images. Returns once there is a queue. DemoError: that took too long."""
        self.lane = lane
        self.api = lane.site.api
        fields = {"title": "soak", "label_config": self.label_config()}
        self.project_id: int = self.api.call("POST", "/api/projects/", json=fields)["id"]
        self.add_tasks(colored_tasks(tasks, seed=self.project_id))
        self.crew = self.crew_for(CONTROL)
        self.backend.connect(self.project_id)
        self.backend.wait_for_round(self.project_id, 0)

    def __enter__(self) -> Loop:
        self.crew.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send everybody home, and take the backend from the project."""
        self.crew.send_home()
        self.disconnect()

    def disconnect(self) -> None:
        """Take the backend from the project. DemoError: it does not give the project back.

        More than once: Label Studio writes a row back that it was looking at when it was deleted.
        """

        def is_given_back() -> bool:
            for row in self.rows():
                self.api.call("DELETE", f"/api/ml/{row['id']}")
            time.sleep(REMOVED_S)
            return not self.status().get("connected", True)

        self.wait_for("the project to be given back", is_given_back)

    def crew_for(self, control: str) -> Crew:
        """The site's people, not at work yet; control: the name of <Choices> that they answer."""
        return Crew(
            [Annotator(api, self.project_id, true_color, control) for api in self.lane.site.people],
            Habits(self.lane.pause_s),
            random.Random(self.project_id),
        )

    @property
    def backend(self) -> Backend:
        """The lane's backend."""
        return self.lane.backend

    # What Label Studio says

    def label_config(self, *classes: str) -> str:
        """A label config of the three colors and further classes, by default the spare one."""
        return project.label_config((*CLASSES, *(classes or (SPARE,))))

    def add_tasks(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Import tasks."""
        tasks = [{"data": item} for item in data]
        self.api.call("POST", f"/api/projects/{self.project_id}/import", json=tasks)

    def fields(self) -> dict[str, Any]:
        """The project as Label Studio shows it."""
        return self.api.call("GET", f"/api/projects/{self.project_id}/")

    def change(self, **fields: object) -> None:
        """Set fields of the project."""
        self.api.call("PATCH", f"/api/projects/{self.project_id}/", json=fields)

    def rows(self) -> list[dict[str, Any]]:
        """The ML backends that the project names."""
        return self.api.call("GET", "/api/ml", params={"project": self.project_id})

    def webhooks(self) -> list[dict[str, Any]]:
        """The webhooks of the project."""
        return self.api.call("GET", "/api/webhooks/", params={"project": self.project_id})

    def labels(self) -> int:
        """How many tasks have a label."""
        return self.fields()["num_tasks_with_annotations"]

    def left(self) -> int:
        """How many tasks have no label."""
        fields = self.fields()
        return fields["task_number"] - fields["num_tasks_with_annotations"]

    # What the backend says

    def status(self) -> dict[str, Any]:
        """What `/status` says of the project."""
        return self.backend.status(self.project_id)

    def number(self) -> int:
        """The number of the round that the queue follows, by Label Studio; -1 before the first."""
        number = versions.round_number(self.fields()["model_version"] or "")
        return -1 if number is None else number

    def start_training(self) -> None:
        """Ask for a round at once, as the button does."""
        event = {"action": "START_TRAINING", "project": self.fields()}
        self.backend.client.post("/webhook", json=event).raise_for_status()

    def recovered(self, goes_on: Callable[[], bool] = lambda: True) -> Trial:
        """How long it takes from now until a new round knows labels that are still to be given.

        goes_on: what else is needed.
        """
        began, labels, before = time.monotonic(), self.labels(), self.number()
        while time.monotonic() - began < RECOVER_S:
            last = self.status().get("last_round")
            is_new = last is not None and last["number"] > before and last["labels"] > labels
            if is_new and goes_on():
                return Trial(time.monotonic() - began)
            self.crew.check()
            time.sleep(POLL_S)
        return Trial(None)

    def wait_for(self, what: str, found: Callable[[], bool], timeout_s: float = RECOVER_S) -> None:
        """Wait until something is so. DemoError: it takes too long."""
        deadline = time.monotonic() + timeout_s
        while not found():
            if time.monotonic() > deadline:
                raise DemoError(f"waited {timeout_s:.0f} s for {what}; {self.backend.log[-1500:]}")
            time.sleep(POLL_S)
