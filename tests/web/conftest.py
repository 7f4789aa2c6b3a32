"""The web process as `serve` starts it, without a worker beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.harness.backend_process import ROOT
from backend.harness.child import Child, clean_environment, free_port
from backend.process.serve import web_command
from backend.settings import Settings

START_TIMEOUT_S = 300.0
TOKEN = "0123456789abcdef0123456789abcdef01234567"

StartWeb = Callable[..., str]


@pytest.fixture
def start_web(tmp_path: Path) -> Iterator[StartWeb]:
    """Starts web processes on one MODEL_DIR, `tmp_path`; each call gives the URL of a new one."""
    children: list[Child] = []

    def start(**environ: str) -> str:
        port = free_port()
        python_path = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        env = clean_environment(os.environ) | {
            "PYTHONPATH": os.pathsep.join(python_path),
            "MODEL_DIR": str(tmp_path),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "LABEL_STUDIO_API_KEY": TOKEN,
            "ALFAMIX_BACKBONE": "bundled",
            "ALFAMIX_DEVICE": "cpu",
            **environ,
        }
        command = web_command(Settings.from_environ(env))
        children.append(Child.start("The web process", command, env, tmp_path / "web.log"))
        url = f"http://127.0.0.1:{port}"
        children[-1].wait_until_healthy(url, START_TIMEOUT_S)
        return url

    yield start
    for child in children:
        child.stop()
