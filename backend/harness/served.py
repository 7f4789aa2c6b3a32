"""Where the tasks came from that people were handed, by the log of their requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from backend.harness.api import Api
from backend.harness.shift import Event
from model_store import versions


@dataclass(frozen=True)
class Served:
    """How many tasks came from where.

    batch, supply: published by the round that the queue follows, within its budget and beyond it.
    earlier: published by an earlier round, and held or begun since. outside: none of these.
    turned_away: how often the queue had no task for somebody.
    """

    batch: int
    supply: int
    earlier: int
    outside: int
    turned_away: int

    @classmethod
    def of(cls, events: Sequence[Event], was_queued: Callable[[Event], bool]) -> Served:
        """The sums of a log.

        was_queued: whether a task that came without a prediction of the queue had been published.
        """
        found = Counter(_origin(event, was_queued) for event in events if event.action == "open")
        return cls(**{origin: found[origin] for origin in cls.__annotations__})

    def __str__(self) -> str:
        earlier = f", {self.earlier} held before" if self.earlier else ""
        return (
            f"served {self.batch} of the batch, {self.supply} of the supply{earlier}, "
            f"{self.outside} outside; {self.turned_away} turned away"
        )


def served(api: Api, events: Sequence[Event]) -> Served:
    """The sums of a log of people who label at one Label Studio."""
    return Served.of(events, partial(was_queued, api))


def was_queued(api: Api, event: Event) -> bool:
    """Whether some round had published a task before it was served.

    The predictions are asked for: asking Label Studio for a task without one makes a live one.
    """
    return any(
        _is_published(prediction["model_version"], prediction["score"])
        and datetime.fromisoformat(prediction["created_at"]).timestamp() < event.at_s
        for prediction in api.find(f"/api/predictions/?task={event.task_id}") or []
    )


def _origin(event: Event, was_queued: Callable[[Event], bool]) -> str:
    if event.task_id is None:
        return "turned_away"
    if event.score is not None and _is_published(event.model_version, event.score):
        # A rank below the budget has a score below one half: see label_studio.queue.score.
        return "batch" if event.score < 0.5 else "supply"
    return "earlier" if was_queued(event) else "outside"


def _is_published(model_version: str | None, score: float | None) -> bool:
    """Whether a prediction is one that a round published; a live one has the score 1."""
    is_of_a_round = versions.round_number(model_version or "") is not None
    return is_of_a_round and score is not None and score < 1
