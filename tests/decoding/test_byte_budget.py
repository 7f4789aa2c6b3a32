"""Memory that threads share: who waits, and for how long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.decoding.byte_budget import ByteBudget

LONG_S = 20.0


def test_taken_lets_in_as_many_as_there_is_room_for() -> None:
    budget, both = ByteBudget(10), threading.Barrier(2, timeout=LONG_S)

    def hold(needed: int) -> None:
        with budget.taken(needed):
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(hold, [4, 6])) == [None, None]


def test_taken_never_holds_more_than_the_total_when_many_threads_ask() -> None:
    budget, guard = ByteBudget(10), threading.Lock()
    held, most = 0, 0

    def hold(needed: int) -> None:
        nonlocal held, most
        with budget.taken(needed):
            with guard:
                held += needed
                most = max(most, held)
            with guard:
                held -= needed

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, [1, 3, 10, 7, 5] * 40))
    assert held == 0
    assert most <= 10


def test_taken_gives_back_when_the_context_ends_with_an_error() -> None:
    budget = ByteBudget(10)
    with pytest.raises(ValueError, match="inside"), budget.taken(10):
        raise ValueError("inside")
    with budget.taken(10):
        pass
