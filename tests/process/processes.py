"""Processes as the system shows them, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from backend.harness.processes import is_gone, with_variable

__all__ = ["WAIT_S", "is_gone", "wait_for", "with_variable"]
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
