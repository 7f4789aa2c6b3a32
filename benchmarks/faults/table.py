"""The table: one row a fault, printed as it comes and kept as JSON."""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

GROWTH_LIMIT_PERCENT = 2.0
HEADING = "tries  lost  doubled  stuck  recover_s  fault"


@dataclass(frozen=True)
class Trial:
    """One infliction of a fault.

    recover_s: from its end until the loop went on with labels given since; None: it never did.
    """

    recover_s: float | None


@dataclass(frozen=True)
class Findings:
    """What was found to be lost and doubled, a sentence each."""

    lost: Sequence[str] = ()
    doubled: Sequence[str] = ()

    @classmethod
    def of(cls, several: Sequence[Findings]) -> Findings:
        """All of them together."""
        return cls(
            [line for found in several for line in found.lost],
            [line for found in several for line in found.doubled],
        )


@dataclass(frozen=True)
class Row:
    """A fault: how often it was tried, and what it did. recover_s: the median of its trials."""

    fault: str
    tries: int
    lost: int
    doubled: int
    stuck: int
    recover_s: float | None

    @classmethod
    def of(
        cls, fault: str, trials: Sequence[Trial], found: Findings, tries: int | None = None
    ) -> Row:
        """The row of a fault's trials; tries: how often it was inflicted, where more often."""
        recovered = [trial.recover_s for trial in trials if trial.recover_s is not None]
        return cls(
            fault=fault,
            tries=len(trials) if tries is None else tries,
            lost=len(found.lost),
            doubled=len(found.doubled),
            stuck=len(trials) - len(recovered),
            recover_s=round(statistics.median(recovered), 1) if recovered else None,
        )

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, doubled or stuck."""
        return not (self.lost or self.doubled or self.stuck)

    def __str__(self) -> str:
        median = "        -" if self.recover_s is None else f"{self.recover_s:9.1f}"
        counts = f"{self.tries:5}  {self.lost:4}  {self.doubled:7}  {self.stuck:5}"
        return f"{counts}  {median}  {self.fault}"


@dataclass(frozen=True)
class Growth:
    """What something had at the start and at the end of rounds without a fault."""

    what: str
    start: float
    end: float

    @property
    def percent(self) -> float:
        """How much it grew."""
        return 100 * (self.end - self.start) / self.start if self.start else 0.0

    def __str__(self) -> str:
        return f"{self.percent:+6.1f} %  {self.what}: {self.start:g}, then {self.end:g}"


@dataclass
class Table:
    """Prints each row at once, and rewrites the file; rows may come from several threads."""

    file: Path | None
    rows: list[Row] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_good(self) -> bool:
        """Whether every row is, and nothing grew by GROWTH_LIMIT_PERCENT or more."""
        grown = any(found.percent >= GROWTH_LIMIT_PERCENT for found in self.growth)
        return not grown and all(row.is_good for row in self.rows)

    def say(self, line: str) -> None:
        """Print a line that is no row."""
        with self._lock:
            print(line, flush=True)

    def add(self, row: Row, findings: Findings, growth: Sequence[Growth] = ()) -> None:
        """Print and keep a row, what it found, and what grew meanwhile."""
        found = [*findings.lost, *findings.doubled]
        with self._lock:
            self.rows.append(row)
            self.growth += growth
            print("\n".join([str(row), *(f"    {line}" for line in [*found, *growth])]), flush=True)
            self._write()

    def markdown(self) -> str:
        """The rows as docs/faults.md shows them."""
        faults = [list(asdict(row).values()) for row in self.rows]
        parts = [_page(["fault", "tries", "lost", "doubled", "stuck", "recover_s"], faults)]
        if self.growth:
            grown = [[one.what, one.start, one.end, f"{one.percent:+.1f} %"] for one in self.growth]
            parts.append(_page(["what", "at the start", "at the end", "growth"], grown))
        return "\n\n".join(parts)

    def _write(self) -> None:
        if self.file is None:
            return
        growth = [{**asdict(one), "percent": round(one.percent, 2)} for one in self.growth]
        text = json.dumps({"rows": [asdict(row) for row in self.rows], "growth": growth}, indent=2)
        self.file.write_text(text + "\n")


def _page(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown."""
    cells = [heading, ["---"] * len(heading), *rows]
    shown = [["" if cell is None else str(cell) for cell in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)
