"""Several people who label in one project at once, as Label Studio's page has them work."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from backend.harness.annotate import Annotator
from backend.harness.person import Habits, Person
from backend.harness.shift import Event, Shift


class Crew:
    """People at work in a thread each, and the log of what they were served.

    As a context it sends them home at the end. Whoever goes leaves a task open, which Label Studio
    keeps locked for them for a day.
    """

    def __init__(
        self,
        annotators: Sequence[Annotator],
        habits: Habits | Sequence[Habits],
        rng: random.Random,
    ) -> None:
        """One person per annotator, each with a generator of their own, seeded by `rng`.

        habits: the same of all, or one of each.
        """
        self._shift = Shift()
        of_each = [habits] * len(annotators) if isinstance(habits, Habits) else habits
        self.people = tuple(
            Person(
                f"person {number}",
                annotator,
                self._shift,
                own_habits,
                random.Random(rng.getrandbits(64)),
            )
            for number, (annotator, own_habits) in enumerate(
                zip(annotators, of_each, strict=True), 1
            )
        )

    @property
    def events(self) -> tuple[Event, ...]:
        """Every request so far, in the order of the answers."""
        return self._shift.events

    def start(self, labels: int | None = None) -> None:
        """Let everybody come and work until `stop`, or until so many labels are submitted."""
        self._shift.begin(labels)
        for person in self.people:
            person.come()

    def wait(self, timeout_s: float) -> tuple[Event, ...]:
        """The log once all are gone: the labels are submitted, or everybody left.

        TimeoutError: that took longer. Raises what `check` raises.
        """
        deadline = time.monotonic() + timeout_s
        for person in self.people:
            if not person.is_gone(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"{self._told()} within {timeout_s:.0f} s")
        self.check()
        return self.events

    def stop(self) -> tuple[Event, ...]:
        """The log once everybody went home after the request they were at.

        Raises what `check` raises.
        """
        self.send_home()
        self.check()
        return self.events

    def check(self) -> None:
        """Raise the error that ended somebody's work, where there was one."""
        for person in self.people:
            person.check()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.send_home()
        if kind is None:
            self.check()

    def send_home(self) -> None:
        """Send everybody home after the request they were at, whatever ended somebody's work."""
        self._shift.end()
        for person in self.people:
            person.is_gone()

    def _told(self) -> str:
        labels = sum(event.action == "submit" for event in self.events)
        turned_away = sum(event.is_turned_away for event in self.events)
        return f"{labels} labels by {len(self.people)} people, {turned_away} times turned away,"
