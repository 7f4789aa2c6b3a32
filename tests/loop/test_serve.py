"""`python -m backend serve` as an admin starts it: two processes, alive and ended together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import save_file

from backend.harness.annotate import choice
from backend.harness.backend_process import published_number
from backend.process.startup import folder_of
from backend.process.worker_lock import settled_at
from backend.settings import Settings
from tests.loop.conftest import (
    LABEL_CONFIG,
    colored_tasks,
    predictions_of,
    project_of,
    wait_for,
)
from tests.model_store.damage import small_disk, write_lock
from tests.process.processes import with_variable

pytestmark = pytest.mark.label_studio
SERVE, WORKER = "-m backend serve", "-m backend worker"


def processes_of(server) -> dict[int, str]:
    """Process id and command line of a backend's processes and their leashes."""
    return with_variable(f"PORT={server.port}")


def process_of(server, words: str, *, leash: bool = False) -> int | None:
    """The first process of a server whose command line holds these words, or its leash."""
    found = sorted(processes_of(server).items())
    return next((pid for pid, line in found if words in line and ("leash" in line) is leash), None)


def worker_of(server) -> int:
    """The process id of a server's worker."""
    return wait_for("the worker to start", lambda: process_of(server, WORKER))


def health(server) -> tuple[int, str]:
    """Status and text of `/health`; 0 while nobody answers."""
    try:
        reply = server.client.get("/health", timeout=5)
    except httpx.TransportError:
        return 0, ""
    return reply.status_code, reply.text


def journal_of(server) -> Path:
    """The journal's file."""
    settings = Settings.from_environ(server.env)
    return folder_of(settings) / "journal.sqlite"


def assert_published_once(label_studio, project_id) -> None:
    pairs = [(p["task"], p["model_version"]) for p in predictions_of(label_studio, project_id)]
    assert len(pairs) == len(set(pairs))


def label_through(server, project_id, person, number: int) -> None:
    """Label until the queue follows round `number`."""
    status = server.status(project_id)
    while published_number(status) < number:
        assert person.label_next() is not None
        status = server.status(project_id) or status


@pytest.mark.soak
def test_rounds_go_on_and_are_published_once_when_the_worker_is_killed(
    label_studio, backend, colored_project, annotator
):
    project_id, _ = colored_project(24)
    server = backend()
    server.connect(project_id)
    first = server.wait_for_round(project_id, 0)
    assert project_of(label_studio, project_id)["model_version"] == "alfa-mix r0 · 0 labels"
    person = annotator(project_id)
    assert [person.label_next() for _ in first["batch"]] == first["batch"]
    wait_for("the worker to begin", lambda: server.status(project_id)["round"] == 1)
    os.kill(worker_of(server), signal.SIGKILL)
    second = server.wait_for_round(project_id, 1)
    assert [person.label_next() for _ in second["batch"]] == second["batch"]
    assert_published_once(label_studio, project_id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_all_processes_end_when_serve_does(backend, number):
    server = backend()
    worker_of(server)
    os.kill(process_of(server, SERVE), number)
    wait_for("all to end", lambda: processes_of(server) == {})


def starting(server) -> None:
    """serve runs, perhaps without its handlers."""
    wait_for("serve to run", lambda: process_of(server, SERVE))


def worker_starting(server) -> None:
    """The worker runs, and loads what it needs."""
    worker_of(server)


def idle(server) -> None:
    """The worker went through all projects."""
    settings = Settings.from_environ(server.env)
    worker_of(server)
    before = settled_at(settings)
    wait_for("the worker to settle", lambda: settled_at(settings) != before)


@pytest.mark.soak
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("reached", [starting, worker_starting, idle])
def test_all_processes_end_when_the_whole_group_is_signalled(backend, reached, times):
    server = backend(start=False)
    server.start(healthy=False)
    reached(server)
    group = os.getpgid(process_of(server, SERVE))
    for _ in range(times):
        os.killpg(group, signal.SIGTERM)
    wait_for("all to end", lambda: processes_of(server) == {})


@pytest.mark.soak
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("phase", ["embed", "train"])
def test_all_processes_end_when_they_are_signalled_at_work(
    label_studio, backend, colored_project, phase, times
):
    server = backend(EPOCHS="10000", BLOCK_LR="1e-9", HEAD_LR="1e-8")
    project_id = label_studio.create_project(LABEL_CONFIG)
    tasks = [
        {"data": data, "annotations": [{"result": choice(data["truth"])}]}
        for data in colored_tasks(60)
    ]
    label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
    label_studio.import_tasks(project_id, colored_tasks(1200, seed=1))
    server.connect(project_id)

    def at_work():
        behind = server.status(project_id).get("background")
        return behind and behind["phase"] == phase

    wait_for(phase, at_work)
    group = os.getpgid(process_of(server, SERVE))
    for _ in range(times):
        os.killpg(group, signal.SIGTERM)
    wait_for("all to end", lambda: processes_of(server) == {})


@pytest.mark.parametrize(
    "leash",
    [
        pytest.param(False, id="itself"),
        pytest.param(True, id="its leash", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("words", ["gunicorn", "-m backend worker"])
def test_process_is_started_again_when_it_is_killed(
    label_studio, backend, colored_project, words, leash
):
    server = backend()
    wait_for("it to start", lambda: process_of(server, words))
    first = {pid for pid, line in processes_of(server).items() if words in line}
    os.kill(process_of(server, words, leash=leash), signal.SIGKILL)
    wait_for("another one", lambda: process_of(server, words) not in {None, *first})
    # Not only gunicorn's master: its worker answers for a while without it.
    wait_for("the first ones to be gone", lambda: first.isdisjoint(processes_of(server)))
    wait_for("health", lambda: health(server)[0] == 200)
    project_id, _ = colored_project(12)
    server.connect(project_id)
    server.wait_for_round(project_id, 0)
    assert sum(words in line for line in processes_of(server).values() if "leash" in line) == 1


@pytest.mark.soak
def test_queue_goes_on_when_the_journal_is_lost_with_its_copy(
    label_studio, backend, colored_project, annotator
):
    project_id, _ = colored_project(60)
    server = backend()
    server.connect(project_id)
    server.wait_for_round(project_id, 0)
    person = annotator(project_id)
    label_through(server, project_id, person, 1)
    server.stop()
    version = project_of(label_studio, project_id)["model_version"]
    for path in journal_of(server).parent.glob("journal*"):
        path.unlink()
    server.start()
    assert server.status(project_id) == {}
    assert person.label_next() is not None  # its event names the project
    status = server.wait_for_round(project_id, 1)
    assert status["model_version"] == version
    label_through(server, project_id, person, 2)
    assert_published_once(label_studio, project_id)


def said_to_be_wrong(server) -> str:
    """What `/health` says, once it is 503."""

    def found() -> str:
        status, text = health(server)
        return text if status == 503 else ""

    return wait_for("503", found)


@pytest.mark.soak
def test_health_says_so_while_another_process_holds_the_journal(
    backend, colored_project, annotator
):
    project_id, _ = colored_project(24)
    server = backend()
    server.connect(project_id)
    server.wait_for_round(project_id, 0)
    with write_lock(journal_of(server)):
        assert "the journal is locked by another process" in said_to_be_wrong(server)
        assert "is locked by another process" in server.client.get("/status").text
    wait_for("health", lambda: health(server)[0] == 200)
    label_through(server, project_id, annotator(project_id), 1)


def test_health_says_so_while_no_space_is_left(label_studio, backend, colored_project, tmp_path):
    project_id, _ = colored_project(12)
    with small_disk(tmp_path / "disk") as disk:
        server = backend(start=False)
        server.env["MODEL_DIR"] = str(disk.path)
        server.start()
        worker_of(server)
        disk.fill()
        assert "no space is left" in said_to_be_wrong(server)
        disk.free()
        wait_for("health", lambda: health(server)[0] == 200)
        server.connect(project_id)
        server.wait_for_round(project_id, 0)
        server.stop()


def weights_of_another_network(folder: Path) -> Path:
    path = folder / "other.safetensors"
    save_file({"layer1.0.conv1.weight": torch.zeros(8, 3, 3, 3)}, str(path))
    return path


@pytest.mark.parametrize(
    ("variable", "value", "needed"),
    [
        pytest.param(
            *("ALFAMIX_BACKBONE", "vit_smal_patch16_224", "vit_small_patch16_224"),
            marks=pytest.mark.soak,
        ),
        ("ALFAMIX_BACKBONE_WEIGHTS", weights_of_another_network, "layer1.0.conv1"),
        ("ALFAMIX_STRATEGY", "magic", "alfa-mix"),
        ("ALFAMIX_BUGDET", "5", "did you mean ALFAMIX_BUDGET"),
        ("MODEL_DIR", "/proc/no-such-folder", "MODEL_DIR"),
    ],
)
def test_serve_ends_with_a_sentence_when_a_setting_is_wrong(
    backend, tmp_path, variable, value, needed
):
    server = backend(start=False)
    server.env.pop("ALFAMIX_BACKBONE_WEIGHTS")
    server.env[variable] = value(tmp_path) if callable(value) else value
    if variable != "ALFAMIX_BACKBONE_WEIGHTS" and variable != "ALFAMIX_BACKBONE":
        server.env["ALFAMIX_BACKBONE"] = "bundled"
    server.start(healthy=False)
    wait_for("serve to end", lambda: not server.running)
    assert needed in server.log
    assert "Traceback" not in server.log
