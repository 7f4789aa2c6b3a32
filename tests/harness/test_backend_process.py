"""What a backend in processes of its own can be asked, against a recording server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.errors import DemoError
from backend.harness.api import Api
from backend.harness.backend_process import ROOT, Backend, ProjectStatus
from backend.harness.child import free_port
from tests.label_studio.recording_server import RecordingServer, Reply, recording_server


def project(number: int | None, *, project_id: int = 3, phase: str = "annotate") -> dict[str, Any]:
    """A project of `/status` whose queue follows round `number`."""
    statistics = {"strategy": "margin"}
    published = {"number": number, "labels": 20, "statistics": statistics}
    return {
        "project_id": project_id,
        "key": f"{project_id}.17",
        "phase": phase,
        "progress": {"done": 1, "total": 4},
        "last_round": None if number is None else published,
        "last_error": None,
    }


def status_page(*projects: dict[str, Any]) -> Reply:
    return Reply(body=json.dumps({"projects": projects}).encode())


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


def backend_at(port: int, folder: Path) -> Backend:
    """A backend that was started by somebody else."""
    return Backend(Api("http://label-studio.test", "token"), {"PORT": str(port)}, folder / "log")


@pytest.fixture
def backend(server: RecordingServer, tmp_path: Path) -> Backend:
    return backend_at(int(server.url.rpartition(":")[2]), tmp_path)


def test_status_is_the_latest_projects_when_an_id_was_used_before(
    server: RecordingServer, backend: Backend
) -> None:
    server.replies["/status"] = status_page(project(9), project(1, project_id=4), project(0))

    assert backend.status(3)["last_round"]["number"] == 0


def test_status_is_empty_when_the_backend_never_heard_of_the_project(
    server: RecordingServer, backend: Backend
) -> None:
    server.replies["/status"] = status_page(project(0, project_id=4))

    assert backend.status(3) == {}
    assert backend.project(3) is None


def test_status_is_empty_when_nobody_answers(tmp_path: Path) -> None:
    assert backend_at(free_port(), tmp_path).status(3) == {}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (project(2), ProjectStatus("3.17", "annotate", 1, 4, 2, 20, "margin", None)),
        (
            project(None, phase="embed"),
            ProjectStatus("3.17", "embed", 1, 4, None, 0, None, None),
        ),
    ],
)
def test_project_tells_of_the_round_that_the_queue_follows(
    server: RecordingServer, backend: Backend, page: dict[str, Any], expected: ProjectStatus
) -> None:
    server.replies["/status"] = status_page(page)

    assert backend.project(3) == expected


def test_wait_ends_at_the_round_or_a_later_one(server: RecordingServer, backend: Backend) -> None:
    pages = [status_page(), *(status_page(project(number)) for number in (None, 0, 2))]
    server.replies["/status"] = pages

    assert backend.wait_for_round(3, 1)["last_round"]["number"] == 2


def test_wait_tells_the_phase_when_it_takes_too_long(
    server: RecordingServer, backend: Backend
) -> None:
    server.replies["/status"] = status_page(project(0, phase="embed"))

    with pytest.raises(DemoError, match=r"waited 0 s for round 5.* phase embed"):
        backend.status_when(3, "round 5", lambda _status: False, timeout_s=0.0)


def test_wait_ends_when_the_check_fails(backend: Backend) -> None:
    def check() -> None:
        raise DemoError("Label Studio ended")

    with pytest.raises(DemoError, match="Label Studio ended"):
        backend.status_when(3, "round 5", lambda _status: False, check=check)


def test_backend_runs_from_start_to_stop_and_check_tells_when_it_ended(tmp_path: Path) -> None:
    backend = backend_at(free_port(), tmp_path)
    backend.env |= {"PYTHONPATH": str(ROOT), "ALFAMIX_BUGDET": "5"}
    assert not backend.running

    backend.start(healthy=False)
    try:
        with pytest.raises(DemoError, match=r"The backend ended(.|\n)*ALFAMIX_BUDGET"):
            backend.status_when(3, "the end", lambda _status: False, timeout_s=60)
        assert not backend.running
        assert "ALFAMIX_BUDGET" in backend.log
    finally:
        backend.stop()
