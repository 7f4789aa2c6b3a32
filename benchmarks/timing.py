"""Rows of a benchmark: timed, printed as they come beside their goal, and kept as JSON."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measurement."""

    what: str
    value: float
    unit: str


@dataclass(frozen=True)
class Goal:
    """A limit that a row's value is held against, in the row's unit."""

    limit: float
    is_upper: bool = True

    def verdict(self, value: float) -> str:
        """The goal in words, and whether `value` reaches it; the limit itself does."""
        is_reached = value <= self.limit if self.is_upper else value >= self.limit
        bound = "at most" if self.is_upper else "at least"
        return f"goal {bound} {self.limit:g}: {'reached' if is_reached else 'MISSED'}"


class Report:
    """Prints each row at once, and rewrites the file so that an interrupted run leaves its rows."""

    def __init__(self, file: Path | None) -> None:
        self.rows: list[Row] = []
        self._file = file

    def say(self, line: str) -> None:
        """Print a line that is no measurement."""
        print(line, flush=True)

    def add(self, what: str, value: float, unit: str, goal: Goal | None = None) -> None:
        """Print and keep one row."""
        self.rows.append(Row(what, value, unit))
        verdict = "" if goal is None else f"  ({goal.verdict(value)})"
        print(f"{value:10.2f} {unit:9} {what}{verdict}", flush=True)
        if self._file is not None:
            rows = [asdict(row) for row in self.rows]
            self._file.write_text(json.dumps(rows, indent=2) + "\n")


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that at least `percent` of the samples do not exceed (nearest rank).

    ValueError: there are no samples.
    """
    if not samples:
        raise ValueError("a percentile needs one sample or more")
    rank = max(1, math.ceil(len(samples) * percent / 100))
    return sorted(samples)[rank - 1]


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call of `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
