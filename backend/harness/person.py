"""Somebody at Label Studio's labeling page, who goes on until they leave."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass

from backend.errors import LabelStudioUnreachableError
from backend.harness.annotate import Annotator, Task
from backend.harness.shift import Action, Event, Shift

# Labels take unequally long: of pauses around a mean of 1, two thirds lie between 0.5 and 1.4.
PAUSE_SHAPE = 4.0


@dataclass(frozen=True)
class Habits:
    """How somebody works.

    pause_s: mean time that a label takes, from the task on the screen to Submit.
    press_again_s: turned away, they press Label All Tasks again so much later.
    skip_share, postpone_share: of the tasks, from 0 to 1, that they skip or put off.
    """

    pause_s: float
    press_again_s: float = 1.0
    skip_share: float = 0.0
    postpone_share: float = 0.0

    def drawn_pause_s(self, rng: random.Random) -> float:
        """How long one label takes."""
        return self.pause_s * rng.gammavariate(PAUSE_SHAPE, 1 / PAUSE_SHAPE)


class Person:
    """One annotator as the page has them work: after each Submit it opens, and locks, another task.

    Request by request with `press`, `submit`, `skip` and `postpone`; or at work, in a thread of
    their own, from `come` to `leave`. At work they try again what Label Studio does not answer.
    """

    def __init__(
        self, name: str, annotator: Annotator, shift: Shift, habits: Habits, rng: random.Random
    ) -> None:
        self.name = name
        self.open_task: Task | None = None
        self._annotator = annotator
        self._shift = shift
        self._habits = habits
        self._rng = rng
        self._is_leaving = False
        self._work: futures.Future[None] | None = None

    def press(self) -> Task | None:
        """The task that Label All Tasks opens, locked for this person; None: turned away."""
        with self._shift.turns:
            self.open_task = None
            since = time.perf_counter()
            self.open_task = self._annotator.open_next()
            self._note("open", self.open_task, since)
        return self.open_task

    def submit(self, task: Task, class_name: str | None = None) -> Task | None:
        """The task that the page opens after the Submit of an open one; None: turned away."""
        return self._finish(task, "submit", lambda: self._annotator.submit(task, class_name))

    def skip(self, task: Task) -> Task | None:
        """The task that the page opens after the Skip of an open one; None: turned away."""
        return self._finish(task, "skip", lambda: self._annotator.skip(task))

    def postpone(self, task: Task) -> Task | None:
        """The task that the page opens after an open one is put off; None: turned away."""
        return self._finish(task, "postpone", lambda: self._annotator.postpone(task))

    def come(self) -> None:
        """Press Label All Tasks and label, for the first time or again, until `leave`."""
        if self._work is not None and not self._work.done():
            return
        self._is_leaving = False
        thread = futures.ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._work = thread.submit(self._label_on)
        thread.shutdown(wait=False)

    def leave(self) -> None:
        """Go, and leave the task open: Label Studio keeps it locked for this person for a day.

        Returns when they are gone; raises what `check` raises.
        """
        self._is_leaving = True
        self._shift.wake()
        self.is_gone()
        self.check()

    def is_gone(self, timeout_s: float | None = None) -> bool:
        """Whether they left, or the shift ended, within so many seconds; None: when they did."""
        return self._work is None or not futures.wait([self._work], timeout_s).not_done

    def check(self) -> None:
        """Raise the error that ended their work before they left, where there was one."""
        if self._work is not None and self._work.done():
            self._work.result()

    def _label_on(self) -> None:
        try:
            self._attempt(self.press)
            while self._stays():
                self._attempt(self._go_on)
        except BaseException:
            # One who cannot go on sends the others home too: whoever waits for them learns why.
            self._shift.end()
            raise

    def _attempt(self, request: Callable[[], object]) -> None:
        """Make a request; one that Label Studio does not answer comes to nothing."""
        since = time.perf_counter()
        try:
            request()
        except LabelStudioUnreachableError:
            self._note("fail", self.open_task, since)

    def _stays(self) -> bool:
        """Whether the person is still there when it is time for the next request."""
        is_open = self.open_task is not None
        pause_s = self._habits.drawn_pause_s(self._rng) if is_open else self._habits.press_again_s
        return self._shift.wait(pause_s, lambda: self._is_leaving)

    def _go_on(self) -> None:
        task = self.open_task
        if task is None:
            self.press()
        elif self._rng.random() < self._habits.skip_share:
            self.skip(task)
        elif self._rng.random() < self._habits.postpone_share:
            self.postpone(task)
        elif self._shift.take_label():
            self.submit(task)

    def _finish(self, task: Task, action: Action, request: Callable[[], object]) -> Task | None:
        since = time.perf_counter()
        request()
        self._note(action, task, since)
        return self.press()

    def _note(self, action: Action, task: Task | None, since: float) -> None:
        predictions = (task or {}).get("predictions") or [{}]
        self._shift.note(
            Event(
                person=self.name,
                action=action,
                at_s=time.time(),
                took_s=time.perf_counter() - since,
                task_id=None if task is None else task["id"],
                model_version=predictions[0].get("model_version"),
                score=predictions[0].get("score"),
            )
        )
