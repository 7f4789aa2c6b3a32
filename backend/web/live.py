"""Images for live predictions: had by a deadline or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from backend.errors import ImageError

Load = Callable[[str], bytes]


class LiveLoads:
    """Loads images for requests whose client waits, a limited number at a time.

    A server may hold a load for as long as it likes; whoever waits for it goes on at the deadline.
    """

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    def by_deadline(self, load: Load, within_s: float) -> Load:
        """What gives the bytes of an image by its key until `within_s` from now.

        It raises ImageError where they are not had by then, and what `load` raises.
        """
        deadline = time.monotonic() + within_s

        def load_in_time(key: str) -> bytes:
            try:
                return self._begun(load, key, deadline).result(_left(deadline))
            except TimeoutError as error:
                raise ImageError(f"not had within {within_s:g} s") from error

        return load_in_time

    def _begun(self, load: Load, key: str, deadline: float) -> Future[bytes]:
        """The load of one image, under way in a thread that nobody has to wait for."""
        if not self._free.acquire(timeout=_left(deadline)):
            raise TimeoutError
        loaded: Future[bytes] = Future()
        threading.Thread(target=self._run, args=(load, key, loaded), daemon=True).start()
        return loaded

    def _run(self, load: Load, key: str, loaded: Future[bytes]) -> None:
        try:
            loaded.set_result(load(key))
        except BaseException as error:  # noqa: BLE001
            loaded.set_exception(error)
        finally:
            self._free.release()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
