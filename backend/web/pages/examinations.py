"""What the doctor finds, for a page that does not wait for it.

The doctor loads the network and asks Label Studio, which takes seconds: it runs as a process of its
own, one at a time, with an end, and what it found is kept for a while.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.process.leash import leashed

logger = logging.getLogger(__name__)

LIMIT_S = 60.0
KEPT_S = 30.0
MAX_KEPT = 32
FIELDS = ("verdict", "topic", "text", "remedy")
Look = Callable[[int | None], list[dict[str, str]]]


@dataclass(frozen=True)
class Examination:
    """Findings as texts by FIELDS. ended_at: by the process's own clock."""

    findings: Sequence[dict[str, str]]
    ended_at: float


class Examinations:
    """The doctor's findings by project (None: about the backend itself)."""

    def __init__(self, look: Look | None = None) -> None:
        """look: what examines, which may take long; else the doctor in a process of its own."""
        self._look = look or ask_doctor
        self._found: dict[int | None, Examination] = {}
        self._running: set[int | None] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def of(self, project_id: int | None) -> Examination | None:
        """What was found lately; None while it is looked, which begins where it is due."""
        with self._lock:
            found = self._found.get(project_id)
            if found is not None and time.monotonic() - found.ended_at < KEPT_S:
                return found
            if project_id not in self._running and len(self._running) < MAX_KEPT:
                threading.Thread(target=self._examine, args=(project_id,), daemon=True).start()
                self._running.add(project_id)
        return None

    def _examine(self, project_id: int | None) -> None:
        try:
            with self._turn:
                findings = self._findings(project_id)
            with self._lock:
                if len(self._found) >= MAX_KEPT:
                    self._found.pop(next(iter(self._found)))
                self._found[project_id] = Examination(findings, time.monotonic())
        finally:
            with self._lock:
                self._running.discard(project_id)

    def _findings(self, project_id: int | None) -> Sequence[dict[str, str]]:
        try:
            return self._look(project_id)
        except OSError as error:
            logger.warning("the doctor could not be started: %s", error)
            return [_no_doctor("FAIL", f"the doctor could not be started: {error}")]


def ask_doctor(project_id: int | None) -> list[dict[str, str]]:
    """The findings of `python -m backend doctor`, as far as it comes in LIMIT_S."""
    command = [sys.executable, "-m", "backend", "doctor", "--json"]
    if project_id is not None:
        command += ["--project", str(project_id)]
    process = subprocess.Popen(
        leashed(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    limit = threading.Timer(LIMIT_S, process.terminate)
    limit.start()
    with process:
        assert process.stdout is not None
        said = process.stdout.read()
    limit.cancel()
    return _parsed(said)


def _parsed(said: bytes) -> list[dict[str, str]]:
    found = []
    for line in said.splitlines():
        try:
            finding = json.loads(line)
        except ValueError:
            continue
        if isinstance(finding, dict):
            found.append({name: str(finding.get(name, "")) for name in FIELDS})
    return found or [_no_doctor("note", "it said nothing in time")]


def _no_doctor(verdict: str, text: str) -> dict[str, str]:
    """A finding about the doctor itself."""
    remedy = "python -m backend doctor"
    return {"verdict": verdict, "topic": "doctor", "text": text, "remedy": remedy}
