"""The worker's threads: each repeats its piece of work until the worker is told to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from backend.errors import JournalDamagedError, StoreError
from backend.process.backoff import Backoff
from backend.process.troubles import Troubles

logger = logging.getLogger(__name__)

TICK_S = 0.25
FIRST_WAIT_S = 2.0
LAST_WAIT_S = 60.0


class Loop:
    """Repeats a piece of work.

    Where something refuses that may do so no more in a while (the journal is locked, the disk is
    full) it waits, longer each time, and notes why under its name. Whatever else goes wrong ends
    it and is given to `fail`: a worker of which a part is missing must not seem well.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], bool],
        is_over: Callable[[], bool],
        fail: Callable[[Exception], None],
        troubles: Troubles,
        rest_s: float = TICK_S,
        last_wait_s: float | None = None,
    ) -> None:
        """work: does a piece; whether there may be more at once, else it rests for `rest_s`.

        is_over: asked before each piece, and while it waits. last_wait_s: the longest wait after
        something refused; LAST_WAIT_S where it is None.
        """
        self.name = name
        self._fail = fail
        self._work = work
        self._is_over = is_over
        self._troubles = troubles
        self._rest_s = rest_s
        self._backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S if last_wait_s is None else last_wait_s)
        self._is_noted = True  # perhaps, by an earlier worker

    def run(self) -> None:
        """Repeat the work until it is over, or cannot go on."""
        try:
            while not self._is_over():
                self._pause(self._piece())
        except Exception as error:
            if not isinstance(error, JournalDamagedError):
                logger.exception("%s: unexpected error", self.name)
            self._fail(error)

    def _piece(self) -> float:
        """Do a piece; the seconds to rest after it."""
        try:
            has_more = self._work()
        except JournalDamagedError:
            raise
        except StoreError as error:
            wait_s = self._backoff.failed()
            self._troubles.note(self.name, f"{error}; tried again in {wait_s:.0f} s")
            self._is_noted = True
            return wait_s
        self._backoff.succeeded()
        if self._is_noted:
            self._troubles.clear(self.name)
            self._is_noted = False
        return 0.0 if has_more else self._rest_s

    def _pause(self, seconds: float) -> None:
        over_at = time.monotonic() + seconds
        while not self._is_over() and (left := over_at - time.monotonic()) > 0:
            time.sleep(min(left, TICK_S))
