"""Work of several lanes at once, which a Ctrl-C does not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def side_by_side(work: Sequence[Callable[[], Result]]) -> list[Result]:
    """What each piece of work returns, done in a thread of its own that ends with the process.

    Raises what the first of them, in their order, raises.
    """
    futures: list[Future[Result]] = [Future() for _ in work]
    for one, future in zip(work, futures, strict=True):
        threading.Thread(target=_do, args=(one, future), daemon=True).start()
    return [future.result() for future in futures]


def _do(work: Callable[[], Result], future: Future[Result]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
        future.set_exception(error)
