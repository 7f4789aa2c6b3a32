"""A fault: its name and how it is inflicted on a loop."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.faults.loop import Loop


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong.

    inflict: does it to a loop at work, and returns when what disturbs is over; whether the loop
        goes on is found out after. rng: for moments and other choices.
    tries: how often, each time until the loop went on.
    """

    name: str
    inflict: Callable[[Loop, random.Random], None]
    tries: int = 1
