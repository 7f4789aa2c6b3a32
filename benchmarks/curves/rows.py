"""The file of results: one CSV row a round, appended as runs end, read back to go on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from backend.vision import ADAM
from benchmarks.curves.data import DataError
from model_store.files import write_bytes


@dataclass(frozen=True)
class Row:
    """One point of one learning curve.

    head: how the network's head was fitted. n_rare: labels of rare classes so far, where the pool
        has such. n_foreign: images of no class that people were shown so far.
    """

    setting: str
    strategy: str
    seed: int
    round: int
    n_labeled: int
    accuracy: float
    train_s: float
    select_s: float
    head: str = ADAM
    n_rare: int = 0
    n_foreign: int = 0


COLUMNS = tuple(field.name for field in fields(Row))
# Of files that were begun when heads were fitted in one way, and when pools were balanced.
EARLIER = (COLUMNS[: COLUMNS.index("head")], COLUMNS[: COLUMNS.index("n_rare")])
_PARSE = dict.fromkeys(("setting", "strategy", "head"), str)
_PARSE |= dict.fromkeys(("accuracy", "train_s", "select_s"), float)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none when there is no file, or nothing in it.

    DataError: the file has other columns, or a row that does not parse; says which.
    """
    if _is_new(path):
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        header = tuple(next(lines, ()))
        if header not in (COLUMNS, *EARLIER):
            raise DataError(
                f"{path} has the columns {', '.join(header)}; needed are {', '.join(COLUMNS)}"
            )
        return [_parsed(path, header, number, line) for number, line in enumerate(lines, start=2)]


def _parsed(path: Path, header: Sequence[str], number: int, line: Sequence[str]) -> Row:
    try:
        pairs = zip(header, line, strict=True)
        return Row(**{name: _PARSE.get(name, int)(text) for name, text in pairs})
    except ValueError as error:
        raise DataError(f"{path}, line {number} cannot be read: {error}") from error


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add the rows of one run in one write, so that a stopped run leaves whole runs only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _is_new(path):
        path.write_text(_text([COLUMNS]), encoding="utf-8")
    elif _header(path) in EARLIER:
        known = [COLUMNS, *(_cells(row) for row in read_rows(path))]
        write_bytes(path, _text(known).encode())
    with path.open("a", newline="", encoding="utf-8") as file:
        file.write(_text(_cells(row) for row in rows))


def _is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _header(path: Path) -> tuple[str, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(next(csv.reader(file), ()))


def _text(lines: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _cells(row: Row) -> list[str]:
    return [f"{value:.5g}" if isinstance(value, float) else str(value) for value in astuple(row)]
