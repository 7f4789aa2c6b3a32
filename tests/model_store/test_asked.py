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


def test_what_is_taken_back_is_asked_for_no_more_and_its_place_is_not_given_again(journal):
    journal.asked.first(KEY, [5, 2])
    journal.asked.first("13.1700000001", [1])
    journal.asked.take_back(KEY)
    assert journal.asked.open_places(KEY) == {}
    journal.asked.first(KEY, [2])
    assert journal.asked.open_places(KEY) == {2: -3}
    journal.tasks.put("13.1700000001", [mirrored_task(1)])
    assert journal.asked.open_places("13.1700000001") == {1: -1}
