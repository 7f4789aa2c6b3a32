"""The worker's threads go on while the journal refuses, and end where waiting does not help."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import JournalDamagedError, JournalError, StoreError
from backend.loop import loops
from backend.loop.loops import Loop
from backend.process.troubles import Troubles

LOCKED = "the journal is locked by another process"


class Pieces:
    """Work whose pieces end as told: a value is returned, an error is raised."""

    def __init__(self, *ends: bool | Exception) -> None:
        self.ends = list(ends)
        self.done = 0

    def work(self) -> bool:
        end = self.ends[self.done]
        self.done += 1
        if isinstance(end, Exception):
            raise end
        return end

    def is_over(self) -> bool:
        return self.done == len(self.ends)


@pytest.fixture
def troubles(tmp_path: Path) -> Troubles:
    return Troubles(tmp_path)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "FIRST_WAIT_S", 0.01)


def run(pieces: Pieces, troubles: Troubles) -> list[Exception]:
    """What the loop gave up for."""
    failed: list[Exception] = []
    Loop("queues", pieces.work, pieces.is_over, failed.append, troubles, rest_s=0.0).run()
    return failed


@pytest.mark.parametrize("error", [JournalError(LOCKED), StoreError("no space is left")])
def test_loop_notes_why_it_waits_when_something_refuses(troubles, error):
    pieces = Pieces(False, error, error)
    assert run(pieces, troubles) == []
    assert pieces.done == 3
    (said,) = troubles.sentences()
    assert said.startswith(f"{error}; tried again in ")


def test_loop_takes_the_note_back_when_work_goes_on(troubles):
    assert run(Pieces(JournalError(LOCKED), True), troubles) == []
    assert troubles.sentences() == []


def test_loop_takes_back_what_an_earlier_worker_noted(troubles):
    troubles.note("queues", LOCKED)
    troubles.note("background", LOCKED)
    run(Pieces(True), troubles)
    assert troubles.sentences() == [LOCKED]


@pytest.mark.parametrize("error", [JournalDamagedError("damaged"), ZeroDivisionError("a bug")])
def test_loop_ends_when_waiting_does_not_help(troubles, error):
    pieces = Pieces(True, error, True)
    assert run(pieces, troubles) == [error]
    assert pieces.done == 2
