"""When the worker tries a project again after an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.loop.worker import Retries
from model_store.journal import Journal, ProjectState


@pytest.fixture
def state(tmp_path: Path) -> ProjectState:
    journal = Journal.in_folder(tmp_path)
    journal.note_changed("1.5")
    return journal.project("1.5")


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
