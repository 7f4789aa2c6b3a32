"""A leash ends its command, whoever is told to end, and however often."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.process.leash import leashed
from tests.process.processes import is_gone, wait_for

# Writes down its own id and that of a process of its own; `%s` is said first.
FAMILY = (
    "import os, signal, subprocess, sys, time; %s; "
    "grandchild = subprocess.Popen(['sleep', '600']); "
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {grandchild.pid}\\n'); time.sleep(600)"
)
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
Start = Callable[..., tuple[subprocess.Popen, list[int]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a family on a leash: the leash, and the ids of the command and its child."""
    leashes = []

    def started(first: str = "pass", grace_s: float = 60.0) -> tuple[subprocess.Popen, list[int]]:
        ids = tmp_path / "ids"
        command = [sys.executable, "-c", FAMILY % first, str(ids)]
        leash = subprocess.Popen(
            leashed(command, grace_s), stdin=subprocess.PIPE, start_new_session=True
        )
        leashes.append(leash)
        wait_for("the family", lambda: ids.exists() and ids.read_text().endswith("\n"))
        return leash, [int(word) for word in ids.read_text().split()]

    yield started
    for leash in leashes:
        leash.stdin.close()
        leash.wait()


def test_family_ends_when_the_leash_is_let_go(start):
    leash, family = start()
    leash.stdin.close()
    assert leash.wait() == 128 + signal.SIGTERM
    assert wait_for("all to end", lambda: all(map(is_gone, family)))


@pytest.mark.parametrize("times", [1, 2, 3])
def test_family_ends_when_the_leash_is_told_to_end(start, times):
    leash, family = start()
    for _ in range(times):
        leash.send_signal(signal.SIGTERM)
    assert leash.wait() == 128 + signal.SIGTERM
    assert wait_for("all to end", lambda: all(map(is_gone, family)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_command_ends_when_the_leash_is_killed(start):
    leash, (command, _grandchild) = start()
    leash.kill()
    leash.wait()
    assert wait_for("the command to end", lambda: is_gone(command))


def test_command_is_killed_when_it_does_not_end_in_time(start):
    leash, family = start(STUBBORN, grace_s=0.1)
    leash.send_signal(signal.SIGTERM)
    assert leash.wait() == 128 + signal.SIGKILL
    assert wait_for("all to end", lambda: all(map(is_gone, family)))


def test_family_ends_when_the_command_is_killed(start):
    leash, (command, grandchild) = start()
    os.kill(command, signal.SIGKILL)
    assert leash.wait() == 128 + signal.SIGKILL
    assert wait_for("the other to end", lambda: is_gone(grandchild))


def test_leash_has_the_status_of_a_command_that_ends_by_itself():
    command = leashed([sys.executable, "-c", "raise SystemExit(78)"])
    with subprocess.Popen(command, stdin=subprocess.PIPE) as leash:
        assert leash.wait() == 78
