"""What the demo prints about rounds: progress while it waits, accuracy on the held-out images."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backend.harness.backend_process import Backend, ProjectStatus
from model_store import phases

POLL_S = 1.0


@dataclass(frozen=True)
class HeldOut:
    """Images that are never imported: their true classes by URL in task data."""

    classes: Mapping[str, str]

    def accuracy(self, backend: Backend, key: str) -> float | None:
        """Share of right predictions, None while the network has no head."""
        predicted = backend.predict(key, list(self.classes))
        if predicted and all(name is None for name in predicted):
            return None
        hits = [found == true for found, true in zip(predicted, self.classes.values(), strict=True)]
        return sum(hits) / len(hits)


class RoundsReport:
    """Follows one project's rounds and prints a line about each."""

    def __init__(self, backend: Backend, project_id: int, held_out: HeldOut) -> None:
        self._backend = backend
        self._project_id = project_id
        self._held_out = held_out
        self._error: str | None = None
        self._phase: str | None = None

    def next_round(
        self,
        seen: ProjectStatus | None,
        check: Callable[[], None],
        beside: Callable[[], str] = lambda: "",
    ) -> ProjectStatus:
        """The status once a later round than `seen` is published or the pool is empty; told.

        `check` is called between looks; it may raise to end the wait. `beside` ends the line.
        """
        while True:
            check()
            status = self._backend.project(self._project_id)
            if status is not None:
                self._show(status)
                if _is_news(status, seen):
                    _clear_line()
                    print("  ".join(filter(None, [self._line(status), beside()])), flush=True)
                    return status
            time.sleep(POLL_S)

    def _line(self, status: ProjectStatus) -> str:
        """Round, labels it was trained on, accuracy."""
        if status.pool_is_empty:
            return "every image is labeled or skipped"
        accuracy = self._held_out.accuracy(self._backend, status.key)
        measured = (
            f"nothing is trained yet; {status.strategy} chose what comes first"
            if accuracy is None
            else f"{accuracy:6.1%} right on {len(self._held_out.classes)} held-out images"
        )
        return f"round {status.round:3}  {status.labels:6,} labels  {measured}"

    def _show(self, status: ProjectStatus) -> None:
        if status.error and status.error != self._error:
            print(f"the backend says: {status.error}", flush=True)
        self._error = status.error
        progress = f" {status.done:,} of {status.total:,}" if status.total else ""
        if status.phase in phases.RESTING:
            return
        if sys.stdout.isatty():
            print(f"\r\033[K  {status.phase}{progress}", end="", flush=True)
        elif status.phase != self._phase:
            print(f"  {status.phase}", flush=True)
        self._phase = status.phase


def _is_news(status: ProjectStatus, seen: ProjectStatus | None) -> bool:
    if status.pool_is_empty:
        return seen is None or not seen.pool_is_empty
    return status.round is not None and (seen is None or status.round != seen.round)


def _clear_line() -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="", flush=True)
