"""What pages show of a project."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model_store.journal import Journal, UnreadableTask
from model_store.overview import LeftOut
from tests.states import KEY, mirrored_task

OTHER = "9.1700000000"


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    """A journal, on each of its databases."""
    return open_journal()


def test_left_out_are_the_first_by_id_of_both_kinds_and_of_this_project(journal: Journal):
    nameless = mirrored_task(7, uri=None, image_key=None, problem="no image")
    journal.tasks.put(KEY, [nameless, mirrored_task(8)])
    gone = [UnreadableTask(number, f"/{number}.png", "404", 1.0) for number in (9, 3, 12)]
    journal.note_unreadable(KEY, gone)
    journal.note_unreadable(OTHER, [UnreadableTask(1, "/1.png", "404", 1.0)])
    total, first = journal.overview.left_out(KEY, 3)
    assert total == 4
    assert first == [
        LeftOut(3, "/3.png", "404"),
        LeftOut(7, "", "no image"),
        LeftOut(9, "/9.png", "404"),
    ]
