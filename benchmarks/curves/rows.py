"""The file of results: one CSV row a round, appended as runs end, read back to go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from benchmarks.curves.data import DataError


@dataclass(frozen=True)
class Row:
    """One point of one learning curve."""

    setting: str
    strategy: str
    seed: int
    round: int
    n_labeled: int
    accuracy: float
    train_s: float
    select_s: float


COLUMNS = tuple(field.name for field in fields(Row))
_PARSE = {"setting": str, "strategy": str, "accuracy": float, "train_s": float, "select_s": float}


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none when there is no file, or nothing in it.

    DataError: the file has other columns, or a row that does not parse; says which.
    """
    if _is_new(path):
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header = tuple(next(lines, ()))
        if header != COLUMNS:
            raise DataError(
                f"{path} has the columns {', '.join(header)}; needed are {', '.join(COLUMNS)}"
            )
        return [_parsed(path, number, line) for number, line in enumerate(lines, start=2)]


def _parsed(path: Path, number: int, line: Sequence[str]) -> Row:
    try:
        pairs = zip(COLUMNS, line, strict=True)
        return Row(**{name: _PARSE.get(name, int)(text) for name, text in pairs})
    except ValueError as error:
        raise DataError(f"{path}, line {number} cannot be read: {error}") from error


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add the rows of one run in one write, so that a stopped run leaves whole runs only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if _is_new(path):
        writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in astuple(row)] for row in rows)
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(text.getvalue())


def _is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _cell(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
