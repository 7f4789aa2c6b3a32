"""Memory that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ByteBudget:
    """So many bytes for all threads together: each waits until as many as it needs are free."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._freed = threading.Condition()

    @contextmanager
    def taken(self, needed: int) -> Iterator[None]:
        """Hold `needed` bytes, at most `total`, as long as the context.

        A thread that holds some already must not ask for more: two could wait for each other.
        """
        with self._freed:
            self._freed.wait_for(lambda: self._free >= needed)
            self._free -= needed
        try:
            yield
        finally:
            with self._freed:
                self._free += needed
                self._freed.notify_all()
