"""Processes as the system shows them, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WAIT_S = 120.0


def wait_for(what: str, found: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
    """The first truthy answer of `found`; fails with `what` where there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = found()
        if answer:
            return answer
        time.sleep(0.05)
    pytest.fail(f"waited {timeout_s:.0f} s for {what}")


def is_gone(process_id: int) -> bool:
    """Whether no such process runs; one that ended and nobody waited for counts as gone."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def with_variable(variable: str) -> dict[int, str]:
    """Id and command line of the running processes that have `NAME=value` in the environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if variable.encode() in environ and command and not is_gone(int(entry.name)):
            found[int(entry.name)] = command
    return found
