"""What the demo prints about rounds: progress while it waits, accuracy on the held-out images."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from backend.harness.backend_process import Backend, ProjectStatus

POLL_S = 1.0
# The queue stands still in these; in every other phase the worker is at work.
RESTING_PHASES = ("annotate", "pool-empty")


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

    def wait_for_news(self, seen: ProjectStatus | None, check: Callable[[], None]) -> ProjectStatus:
        """The status once a later round than `seen` is published or the pool has become empty.

        `check` is called between looks; it may raise to end the wait.
        """
        while True:
            check()
            status = self._backend.status(self._project_id)
            if status is not None:
                self._show(status)
                if _is_news(status, seen):
                    _clear_line()
                    return status
            time.sleep(POLL_S)

    def print_news(self, status: ProjectStatus) -> None:
        """One line: round, labels it was trained on, accuracy."""
        if status.pool_is_empty:
            print("every image is labeled or skipped", flush=True)
            return
        accuracy = self._held_out.accuracy(self._backend, status.key)
        measured = (
            "the k-means centers of the pre-trained features come first"
            if accuracy is None
            else f"{accuracy:6.1%} right on {len(self._held_out.classes)} held-out images"
        )
        print(f"round {status.round:3}  {status.labels:6,} labels  {measured}", flush=True)

    def _show(self, status: ProjectStatus) -> None:
        if status.error and status.error != self._error:
            print(f"the backend says: {status.error}", flush=True)
        self._error = status.error
        progress = f" {status.done:,} of {status.total:,}" if status.total else ""
        if status.phase in RESTING_PHASES:
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
