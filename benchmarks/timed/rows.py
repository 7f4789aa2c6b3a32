"""The file of points: CSV, a run appended whole when it ends, read back to go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.curves.data import DataError
from benchmarks.timed.clock import Point


@dataclass(frozen=True)
class Row:
    """One point of one run, whose fields are those of `Point`."""

    setting: str
    policy: str
    seed: int
    axis: str
    at: float
    n_labeled: int
    seconds: float
    accuracy: float
    n_stale: int
    n_rounds: int
    n_tunings: int

    @classmethod
    def of(cls, setting: str, policy: str, seed: int, point: Point) -> Row:
        """A run's point."""
        return cls(setting, policy, seed, *astuple(point))


COLUMNS = tuple(field.name for field in fields(Row))
_TEXT, _NUMBER = ("setting", "policy", "axis"), ("at", "seconds", "accuracy")
_PARSE: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(COLUMNS, int),
    **dict.fromkeys(_TEXT, str),
    **dict.fromkeys(_NUMBER, float),
}


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none when there is no file. DataError: it is no such file."""
    if not path.exists() or path.stat().st_size == 0:
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if (header := tuple(next(lines))) != COLUMNS:
            raise DataError(f"{path} has the columns {header}; needed are {COLUMNS}")
        try:
            return [_parsed(line) for line in lines]
        except ValueError as error:
            raise DataError(f"{path} has a line that cannot be read: {error}") from error


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add one run's rows in one write, so that a stopped command leaves whole runs only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)
        )
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(text.getvalue())


def _parsed(line: list[str]) -> Row:
    pairs = zip(COLUMNS, line, strict=True)
    return Row(**{name: _PARSE[name](text) for name, text in pairs})
