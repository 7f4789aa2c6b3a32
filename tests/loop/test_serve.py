"""`python -m backend serve` as an admin starts it: two processes, alive and ended together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.loop.conftest import predictions_of, project_of, wait_for

pytestmark = pytest.mark.label_studio


def processes(port_or_word: str) -> dict[int, str]:
    """Process id and command line of those that name `port_or_word`."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environ = (entry / "environ").read_bytes().decode(errors="replace")
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and port_or_word in environ and "python" in command:
            found[int(entry.name)] = command
    return found


def worker_of(server) -> int:
    """The process id of a server's worker."""
    mine = processes(f"PORT={server.port}\0")
    return next(
        pid
        for pid, command in mine.items()
        if "-m backend worker" in command and "leash" not in command
    )


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
    pairs = [(p["task"], p["model_version"]) for p in predictions_of(label_studio, project_id)]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_all_processes_end_when_serve_does(backend, number):
    server = backend()
    mine = f"PORT={server.port}\0"
    wait_for(
        "the worker to start", lambda: any("backend worker" in c for c in processes(mine).values())
    )
    serve = next(
        p
        for p, c in processes(mine).items()
        if c.endswith("-m backend serve ") and "leash" not in c
    )
    os.kill(serve, number)
    wait_for("all to end", lambda: processes(mine) == {})


def weights_of_another_network(folder: Path) -> Path:
    path = folder / "other.safetensors"
    save_file({"layer1.0.conv1.weight": torch.zeros(8, 3, 3, 3)}, str(path))
    return path


@pytest.mark.parametrize(
    ("variable", "value", "needed"),
    [
        ("ALFAMIX_BACKBONE", "vit_smal_patch16_224", "vit_small_patch16_224"),
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
