"""What people who label together share: turns at the queue, the wanted labels, and the log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Action = Literal["open", "submit", "skip", "postpone", "fail"]


@dataclass(frozen=True)
class Event:
    """What one request of a person came to; fail: to nothing, Label Studio did not answer.

    at_s: when the answer came, in seconds since the epoch; took_s: from the request until then.
    task_id: None when the queue had no task for the person (404), and where asking for one failed.
    model_version, score: of the prediction that came with the task, None when none did. Label
        Studio sends those of the version that the project follows; a lower score is served first.
    """

    person: str
    action: Action
    at_s: float
    took_s: float
    task_id: int | None
    model_version: str | None
    score: float | None

    @property
    def is_turned_away(self) -> bool:
        """Whether the person asked for a task and got none."""
        return self.action == "open" and self.task_id is None


class Shift:
    """Shared by the threads of all who label in one project.

    turns: held while somebody asks for a task. On SQLite Label Studio hands one task to two users
        who ask in the same instant, which people do not.
    """

    def __init__(self) -> None:
        self.turns = threading.Lock()
        self._changed = threading.Condition()
        self._is_over = False
        self._labels_left: int | None = None
        self._events: list[Event] = []

    @property
    def events(self) -> tuple[Event, ...]:
        """Every request so far, in the order of the answers."""
        with self._changed:
            return tuple(self._events)

    def note(self, event: Event) -> None:
        """Add to the log."""
        with self._changed:
            self._events.append(event)

    def begin(self, labels: int | None) -> None:
        """Let people work until told to end, or until so many labels are submitted."""
        with self._changed:
            self._is_over = labels == 0
            self._labels_left = labels

    def end(self) -> None:
        """Send everybody home after the request that they are at."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def take_label(self) -> bool:
        """Whether one more label is wanted; the caller then submits it. The last ends the shift."""
        with self._changed:
            if self._is_over:
                return False
            if self._labels_left is not None:
                self._labels_left -= 1
                self._is_over = self._labels_left == 0
                self._changed.notify_all()
            return True

    def wait(self, seconds: float, is_leaving: Callable[[], bool]) -> bool:
        """Whether the caller is still at work after so many seconds; false as soon as not."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._is_over or is_leaving(), seconds)

    def wake(self) -> None:
        """Let everybody who waits look again whether they are leaving."""
        with self._changed:
            self._changed.notify_all()
