"""Lets a few requests at a time do what takes long: the other threads answer Label Studio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import AlfaMixError


class Busy(AlfaMixError):
    """Too many wait already; worth asking again."""


class Turns:
    """So many at once; safe to take from several threads."""

    def __init__(self, at_once: int, words: str) -> None:
        """words: what those are told who find all of them taken."""
        self._free = threading.BoundedSemaphore(at_once)
        self._words = words

    @contextmanager
    def take(self) -> Iterator[None]:
        """Take one until the block ends. Busy: there is none."""
        if not self._free.acquire(blocking=False):
            raise Busy(self._words)
        try:
            yield
        finally:
            self._free.release()
