"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Backoff:
    """Seconds to wait: `first_s` after one failure, twice as many after the next, `last_s` at most.

    failures: how many there were in a row.
    """

    first_s: float
    last_s: float
    failures: int = 0

    def failed(self) -> float:
        """Note a failure; the seconds to wait."""
        self.failures += 1
        return min(self.first_s * 2.0 ** min(self.failures - 1, 60), self.last_s)

    def succeeded(self) -> None:
        """Begin anew with the shortest wait."""
        self.failures = 0
