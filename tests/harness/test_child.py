"""A child process never outlives whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.errors import DemoError
from backend.harness.child import Child, clean_environment, free_port

ROOT = Path(__file__).resolve().parents[2]
# A server that starts a process of its own and writes down both process ids.
FAMILY = (
    "import os, subprocess, sys, time; "
    "grandchild = subprocess.Popen(['sleep', '600']); "
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {grandchild.pid}\\n'); "
    "time.sleep(600)"
)
PARENT = (
    "import sys, time; from pathlib import Path; from backend.harness.child import Child; "
    "child = Child.start('family', [sys.executable, '-c', sys.argv[1], sys.argv[2]], {}, "
    "Path(sys.argv[3])); time.sleep(600)"
)


def wait_for(condition):
    """What `condition` returns as soon as it is true; fails after a minute."""
    for _ in range(600):
        if result := condition():
            return result
        time.sleep(0.1)
    raise AssertionError("nothing happened for a minute")


def process_ids(file: Path) -> list[int]:
    """The ids in `file`, empty while it is not written."""
    if not file.exists() or not (text := file.read_text()).endswith("\n"):
        return []
    return [int(word) for word in text.split()]


def gone(process_id: int) -> bool:
    """Whether no such process runs; one that ended and nobody waited for counts as gone."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_stop_ends_the_whole_family(tmp_path):
    ids = tmp_path / "ids"
    command = [sys.executable, "-c", FAMILY, str(ids)]
    child = Child.start("family", command, {}, tmp_path / "log")
    family = wait_for(lambda: process_ids(ids))
    assert child.running

    child.stop()

    assert not child.running
    assert wait_for(lambda: all(map(gone, family)))


def test_child_ends_when_its_parent_is_killed(tmp_path):
    ids = tmp_path / "ids"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, FAMILY, str(ids), str(tmp_path / "log")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    family = wait_for(lambda: process_ids(ids))

    parent.send_signal(signal.SIGKILL)
    parent.wait()

    assert wait_for(lambda: all(map(gone, family)))


def test_wait_quotes_the_log_when_the_command_ends(tmp_path):
    command = [sys.executable, "-c", "print('no room left')"]
    child = Child.start("The server", command, {}, tmp_path / "log")

    with pytest.raises(DemoError, match=r"The server ended while starting(.|\n)*no room left"):
        child.wait_until_healthy(f"http://127.0.0.1:{free_port()}", timeout_s=60)


def test_wait_ends_when_nobody_answers_in_time(tmp_path):
    child = Child.start("The server", ["sleep", "600"], os.environ, tmp_path / "log")

    with pytest.raises(DemoError, match="did not answer"):
        child.wait_until_healthy(f"http://127.0.0.1:{free_port()}", timeout_s=0)

    child.stop()


def test_free_port_is_another_when_the_preferred_one_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port(port) != port

    assert free_port(port) == port


def test_clean_environment_drops_settings_of_other_programs():
    environ = {"PATH": "/bin", "HOST": "0.0.0.0", "USERNAME": "me", "https_proxy": "http://p"}

    assert clean_environment(environ) == {"PATH": "/bin", "https_proxy": "http://p"}
