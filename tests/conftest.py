"""What several rooms' tests share: the session's Label Studio and PostgreSQL, Debian's Chromium."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.harness.api import Api
from backend.harness.chromium import chromium
from backend.harness.people import account_of
from backend.harness.server import BINARY, Account, LabelStudioServer
from tests.postgresql import PostgresServer, binaries

ROOT = Path(__file__).resolve().parent.parent
ADMIN = Account("admin@example.com", "alfa-mix-tests", "0123456789abcdef0123456789abcdef01234567")
LABEL_STUDIO_VENV = Path(os.environ.get("LABEL_STUDIO_VENV", ROOT / ".venv-label-studio"))
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class LabelStudio:
    """The session's Label Studio, as its admin."""

    def __init__(self, server: LabelStudioServer) -> None:
        self.server = server
        self.url = server.url
        self.token = server.token
        self.admin = server.admin
        self.document_root = server.document_root
        self.api = Api(server.url, server.token)
        self.session = self.api.session

    def create_project(self, label_config: str, **fields: Any) -> int:
        """The id of a new project."""
        project = {"title": "test", "label_config": label_config} | fields
        return self.api.call("POST", "/api/projects/", json=project)["id"]

    def import_tasks(self, project_id: int, data: list[dict[str, Any]]) -> list[int]:
        """The ids of new tasks, in the order of `data`."""
        path = f"/api/projects/{project_id}/import"
        tasks = [{"data": item} for item in data]
        reply = self.api.call("POST", path, params={"return_task_ids": "true"}, json=tasks)
        return reply["task_ids"]

    def serve_local_files(self, project_id: int, folder: Path) -> None:
        """Let `folder`, below document_root, be read at /data/local-files/?d=<path below it>."""
        storage = {"project": project_id, "path": str(folder), "use_blob_urls": True}
        self.api.call("POST", "/api/storages/localfiles", json=storage)

    def create_user(self) -> tuple[str, str, str]:
        """Email, password and legacy token of a new member of the organization."""
        email = f"annotator-{uuid.uuid4().hex}@example.com"
        account = account_of(self.api, email, "alfa-mix-annotator")
        return account.email, account.password, account.token


@pytest.fixture(autouse=True)
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected values are float32's; whether the processor has bfloat16 must not decide them."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)


def _what_is_missing(item: pytest.Item) -> str | None:
    """Why `item` cannot run here, with the remedy; None when it can."""
    wants_label_studio = "label_studio" in getattr(item, "fixturenames", ())
    if wants_label_studio or item.get_closest_marker("label_studio"):
        binary = LABEL_STUDIO_VENV / BINARY
        if not binary.exists():
            return f"no Label Studio at {binary}: `make install`, or set LABEL_STUDIO_VENV"
    if item.get_closest_marker("browser") and chromium() is None:
        return "no Chromium: `sudo apt-get install chromium`, or `make test` as root"
    if item.get_closest_marker("postgresql") and binaries() is None:
        return "no PostgreSQL: `sudo apt-get install postgresql`, or `make test` as root"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run on this machine; in CI that is a failure."""
    missing = _what_is_missing(item)
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def label_studio_venv() -> Path:
    """The virtual environment that Label Studio is installed in."""
    return LABEL_STUDIO_VENV


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """One running Label Studio 1.23.2; every test makes a project of its own in it."""
    folder = tmp_path_factory.mktemp("label-studio")
    document_root = tmp_path_factory.mktemp("local-files")
    with LabelStudioServer.start(
        LABEL_STUDIO_VENV / BINARY, folder, ADMIN, document_root
    ) as server:
        yield LabelStudio(server)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One running PostgreSQL; tests that take it are marked `postgresql`."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def database_url(postgres: PostgresServer) -> str:
    """An empty place for a journal in the session's PostgreSQL."""
    return postgres.create_schema()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium (playwright); tests that take it are marked `browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
        )
        yield opened
        opened.close()
