"""Tasks drawn to measure a head: noted before they are labeled, held against the label they get."""

import pytest

from model_store.audits import Draw, MeasuredRound
from tests.states import KEY, mirrored_task, queued_task, round_state

CAT, DOG = {"cat": 0.75, "dog": 0.25}, {"cat": 0.4, "dog": 0.6}


def draw(task_id: int, probabilities=CAT) -> Draw:
    return Draw(task_id, n_labeled=20, share=0.1, probabilities=probabilities)


@pytest.fixture
def journal(open_journal):
    journal = open_journal()
    journal.note_changed(KEY)
    journal.open_round(round_state(3))
    journal.tasks.put(KEY, [mirrored_task(number) for number in (1, 2, 3)])
    journal.audits.note(KEY, 3, [draw(1), draw(2, DOG)])
    return journal


def label(journal, task_id: int, class_name: str) -> None:
    journal.tasks.put(KEY, [mirrored_task(task_id, class_name=class_name)])


def measured(journal) -> dict[int, tuple[str, str]]:
    """What was predicted and what it is, of the draws that count."""
    return {
        found.draw.task_id: (found.draw.predicted, found.class_name)
        for found in journal.audits.of(KEY)
        if found.is_measured
    }


def test_draw_counts_when_it_is_labeled(journal):
    assert measured(journal) == {}
    label(journal, 2, "cat")
    assert measured(journal) == {2: ("dog", "cat")}
    assert [found.number for found in journal.audits.of(KEY)] == [3, 3]


def test_draw_counts_with_the_label_that_it_has_now(journal):
    label(journal, 2, "cat")
    label(journal, 2, "dog")
    assert measured(journal) == {2: ("dog", "dog")}


def test_draw_does_not_count_when_its_class_is_a_new_one(journal):
    label(journal, 2, "bird")
    assert measured(journal) == {}


def test_draw_is_closed_when_a_later_round_serves_the_task_without_a_label(journal):
    label(journal, 1, "cat")
    journal.open_round(round_state(4))
    journal.add_to_queue(round_state(4), [queued_task(0, task_id=2)])
    label(journal, 2, "dog")
    assert measured(journal) == {1: ("cat", "cat")}
    assert journal.audits.open_ids(KEY) == set()


def test_draw_stays_open_when_its_own_round_serves_it(journal):
    journal.add_to_queue(round_state(3), [queued_task(0, task_id=2)])
    assert journal.audits.open_ids(KEY) == {1, 2}
    label(journal, 2, "dog")
    assert measured(journal) == {2: ("dog", "dog")}
    assert journal.audits.open_ids(KEY) == {1}


def test_draws_of_a_round_are_replaced_when_it_draws_again(journal):
    journal.audits.note(KEY, 3, [draw(3)])
    assert [found.draw for found in journal.audits.of(KEY)] == [draw(3)]
    journal.audits.note(KEY, 3, [])
    assert journal.audits.of(KEY) == []


def test_draws_are_forgotten_when_their_round_begins_anew(journal):
    journal.renumber_round(round_state(3), number=4)
    assert journal.audits.of(KEY) == []


def test_draw_is_left_out_when_its_task_is_gone(journal):
    journal.tasks.remove(KEY, [1])
    assert [found.draw.task_id for found in journal.audits.of(KEY)] == [2]


def test_draws_are_read_from_a_round_on_and_among_tasks(journal):
    journal.open_round(round_state(4))
    journal.audits.note(KEY, 4, [draw(3)])
    assert [found.draw.task_id for found in journal.audits.of(KEY, since=4)] == [3]
    assert [found.draw for found in journal.audits.among(KEY, 3, [2, 3])] == [draw(2, DOG)]
    assert journal.audits.count(KEY) == 3
    assert journal.audits.count("9.1700000000") == 0


def test_rounds_are_counted_like_their_draws(journal):
    ids = range(4, 10)
    journal.tasks.put(KEY, [mirrored_task(number) for number in ids])
    journal.open_round(round_state(4))
    journal.audits.note(KEY, 4, [draw(number, DOG if number % 3 else CAT) for number in ids])
    assert journal.audits.measured_rounds(KEY) == []
    label(journal, 1, "cat")
    for number, name in enumerate(["cat", "dog", "cat", "bird", "dog"], start=4):
        label(journal, number, name)
    journal.open_round(round_state(5))
    journal.add_to_queue(round_state(5), [queued_task(0, task_id=9)])
    label(journal, 9, "cat")  # closed
    # Round 4: 4 is a dog to it and a cat, 5 a dog and a dog, 6 a cat and a cat, 8 a dog and a dog;
    # it knew no bird.
    assert journal.audits.measured_rounds(KEY) == [
        MeasuredRound(3, n_labeled=20, right=1, total=1),
        MeasuredRound(4, n_labeled=20, right=3, total=4),
    ]
