"""A process that is started again whenever it ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

from backend.process.backoff import Backoff
from backend.process.leash import leashed

FIRST_WAIT_S = 1.0
LAST_WAIT_S = 60.0
# Of the ten seconds in which everything is to end.
GRACE_S = 7.0
SIGNALLED = 128


class Supervised:
    """One command on a leash; the wait before it is started again doubles until it settles.

    is_settled: whether it did, asked when it ended, with the seconds that it ran.
    """

    def __init__(
        self, name: str, command: Sequence[str], is_settled: Callable[[float], bool]
    ) -> None:
        self.name = name
        self._command = command
        self._is_settled = is_settled
        self._backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._not_before = 0.0
        self.has_settled = False

    @property
    def failures(self) -> int:
        """How often in a row it ended before it settled."""
        return self._backoff.failures

    @property
    def is_due(self) -> bool:
        """Whether it does not run and waited long enough."""
        return self._process is None and time.monotonic() >= self._not_before

    def start(self) -> None:
        """Start it, in a session of its own: a Ctrl-C in the terminal does not reach it.

        It ends with whoever started it, however that ends: so the leash is let go.
        """
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            leashed(self._command, GRACE_S), stdin=subprocess.PIPE, start_new_session=True
        )

    def ended(self) -> int | None:
        """The exit status where it ended since this was last asked; 128 + N for signal N."""
        status = None if self._process is None else self._process.poll()
        if status is None:
            return None
        self._process = None
        if self._is_settled(time.monotonic() - self._started_at):
            self.has_settled = True
            self._backoff.succeeded()
        return status if status >= 0 else SIGNALLED - status

    def wait(self) -> float:
        """Have it wait before the next start; the seconds."""
        wait_s = self._backoff.failed()
        self._not_before = time.monotonic() + wait_s
        return wait_s

    def let_go(self) -> None:
        """Have it end, and not wait before a next start."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._not_before = 0.0

    def end(self) -> None:
        """Have it end; returns when it is gone."""
        self.let_go()
        if self._process is not None:
            self._process.wait()
            self._process = None
