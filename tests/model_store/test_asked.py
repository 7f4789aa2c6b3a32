"""Tasks that the admin wants first."""

import pytest

from tests.states import KEY, mirrored_task


@pytest.fixture
def journal(open_journal):
    journal = open_journal()
    journal.tasks.put(KEY, [mirrored_task(number) for number in range(1, 7)])
    return journal


def test_asked_tasks_come_in_the_order_in_which_they_were_named(journal):
    journal.asked.first(KEY, [5, 2, 5, 4])
    assert journal.asked.open_places(KEY) == {5: -3, 2: -2, 4: -1}


def test_tasks_asked_for_last_come_first(journal):
    journal.asked.first(KEY, [5, 2])
    journal.asked.first(KEY, [1, 2])
    assert list(journal.asked.open_places(KEY)) == [1, 2, 5]
    assert all(place < 0 for place in journal.asked.open_places(KEY).values())


def test_labeled_skipped_and_missing_tasks_are_no_longer_asked_for(journal):
    journal.asked.first(KEY, [1, 2, 3, 99])
    journal.tasks.put(KEY, [mirrored_task(1, class_name="cat")])
    journal.tasks.put(KEY, [mirrored_task(2, is_skipped=True)])
    assert list(journal.asked.open_places(KEY)) == [3]


def test_nothing_is_asked_for_when_nothing_was_named(journal):
    journal.asked.first(KEY, [])
    assert journal.asked.open_places(KEY) == {}
