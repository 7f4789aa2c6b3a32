"""When the worker tries a project again after an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.loop import connecting
from backend.loop.context import WorkerContext
from backend.loop.worker import Retries, Worker
from backend.settings import Settings
from model_store.journal import Journal, ProjectState


def context_of(folder: Path, journal: Journal) -> WorkerContext:
    """What a worker that asks for neither images nor Label Studio works with."""
    nothing: Any = SimpleNamespace()
    settings = Settings(model_dir=folder, poll_s=30.0)
    return WorkerContext(settings, journal, session=nothing, access=nothing)


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    journal = Journal.in_folder(tmp_path)
    journal.note_changed("1.5")
    return journal.project("1.5")


def test_tasks_that_come_right_after_a_look_are_not_left_for_the_next_one(tmp_path, monkeypatch):
    journal = Journal.in_folder(tmp_path)
    journal.note_changed("1.5")
    journal.update_project("1.5", connected=True)
    worker = Worker(context_of(tmp_path, journal))

    def look(*_arguments: object) -> bool:
        journal.update_project("1.5", unembedded=0)
        return False

    monkeypatch.setattr(worker, "_fit", look)
    worker.compute_for(journal.project("1.5"))
    journal.update_project("1.5", unembedded=None)  # as whoever reads tasks does
    assert worker._needs_computing(journal.project("1.5"))
    monkeypatch.setattr(worker, "_fit", lambda *_arguments: False)  # they come within the piece
    worker.compute_for(journal.project("1.5"))
    assert worker._needs_computing(journal.project("1.5"))
    monkeypatch.setattr(worker, "_fit", look)
    for _ in range(2):
        worker.compute_for(journal.project("1.5"))
    assert not worker._needs_computing(journal.project("1.5"))


@pytest.mark.parametrize("step_s", [-3600.0, 31.0, 3600.0], ids=["back", "on", "far on"])
def test_project_is_looked_at_when_the_clock_was_set(tmp_path, step_s):
    now = [1_000_000.0]
    journal = Journal.in_folder(tmp_path, clock=lambda: now[0])
    journal.note_changed("1.5")
    context = context_of(tmp_path, journal)
    worker = Worker(context)
    worker._awake.clear()
    journal.update_project("1.5", connected=True, seen=1, checked_at=now[0])
    now[0] += 29
    state = journal.project("1.5")
    assert not worker._needs_work(state)
    assert not connecting.is_check_due(context, state)
    now[0] += step_s
    assert worker._needs_work(state)
    assert connecting.is_check_due(context, state)


def test_retries_double_the_wait_up_to_five_minutes(state):
    retries = Retries()
    waits = [retries.failed(state, now=0.0) for _ in range(10)]
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]


def test_retries_wait_when_a_project_failed(state):
    retries = Retries()
    retries.failed(state, now=10.0)
    assert not retries.may_try(state, now=11.9)
    assert retries.may_try(state, now=12.0)


def test_retries_end_the_wait_when_something_happened_in_the_project(state):
    retries = Retries()
    retries.failed(state, now=10.0)
    assert retries.may_try(replace(state, changed=state.changed + 1), now=10.1)


def test_retries_begin_anew_when_the_project_succeeded(state):
    retries = Retries()
    retries.failed(state, now=0.0)
    retries.succeeded(state)
    assert retries.failed(state, now=0.0) == 2.0
