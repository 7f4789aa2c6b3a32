"""Whom the backend warns of, and who may read what it writes, whichever process starts first."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.harness.child import clean_environment, free_port
from backend.process.exposure import exposure
from backend.process.serve import web_command
from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 120.0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "backend.example.com"])
def test_exposure_is_said_when_others_reach_the_port_and_no_credentials_are_needed(
    host: str,
) -> None:
    said = exposure(Settings(host=host, port=9191))
    assert said is not None
    assert f"HOST is {host}" in said
    assert "port 9191" in said
    assert "BASIC_AUTH_USER and BASIC_AUTH_PASS" in said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "::1", "[::1]", "localhost"])
def test_exposure_is_none_when_only_the_machine_itself_reaches_the_port(host: str) -> None:
    assert exposure(Settings(host=host)) is None


def test_exposure_is_none_when_credentials_are_needed() -> None:
    assert exposure(Settings(basic_auth_user="u", basic_auth_pass="p")) is None


def python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


STARTS = {
    "serve": lambda settings: python("backend", "serve"),
    "worker": lambda settings: python("backend", "worker"),
    "web process": web_command,
    "doctor": lambda settings: python("backend", "doctor"),
}


@pytest.mark.parametrize("first", STARTS)
def test_files_are_the_users_own_whichever_process_starts_first(first: str, tmp_path: Path) -> None:
    port = free_port()
    model_dir = tmp_path / "new" / "data"
    environ = clean_environment(os.environ) | {
        "MODEL_DIR": str(model_dir),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LABEL_STUDIO_URL": f"http://127.0.0.1:{free_port()}",
        "LABEL_STUDIO_API_KEY": "0" * 40,
        "ALFAMIX_BACKBONE": "bundled",
        "ALFAMIX_DEVICE": "cpu",
    }
    command = STARTS[first](Settings(host="127.0.0.1", port=port))
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL, umask=0o022
    )
    try:
        wanted = model_dir if first == "doctor" else model_dir / "127.0.0.1_*" / "*.sqlite*"
        deadline = time.monotonic() + WAIT_S
        while not list(tmp_path.glob(str(wanted.relative_to(tmp_path)))):
            assert time.monotonic() < deadline, f"{first} made nothing"
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait()
    made = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    assert model_dir in made
    assert {path: mode for path, mode in made.items() if mode & 0o077} == {}
