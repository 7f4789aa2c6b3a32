"""The journal: what one process notes, the other reads, and a second start finds."""

import threading
from dataclasses import replace

import pytest

from backend.errors import StoreError
from model_store.journal import UNCONFIRMED_PROJECTS, Journal, QueueProgress, UnreadableTask
from tests.states import KEY, mirrored_task, queued_task, round_state


@pytest.fixture
def journal(open_journal) -> Journal:
    return open_journal(clock=lambda: 50.0)


def test_journal_is_found_again_when_it_is_opened_anew(open_journal):
    open_journal().note_changed(KEY)
    assert open_journal().project(KEY).project_id == 12


def test_note_changed_counts_every_event_when_several_threads_note(journal):
    def note() -> None:
        for _ in range(20):
            journal.note_changed(KEY)

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.project(KEY).changed == 80


def note_setup(journal, key=KEY, **values) -> None:
    said = {"backend_url": "http://b", "token": "t", "hostname": "http://ls"}
    journal.note_setup(key, **(said | values))


def test_note_setup_keeps_what_was_said_of_a_project_that_nobody_confirmed(journal):
    note_setup(journal)
    note_setup(journal, token="u", hostname="http://other")
    state = journal.project(KEY)
    assert (state.access_token, state.hostname, state.backend_url) == (
        "u",
        "http://other",
        "http://b",
    )
    assert (state.connected, state.is_confirmed, state.changed) == (False, False, 2)


def test_note_setup_is_no_change_when_it_says_the_same_again(journal):
    # Label Studio calls /setup whenever it is asked for the project's backends.
    note_setup(journal)
    note_setup(journal)
    assert (journal.project(KEY).changed, journal.project(KEY).setups) == (1, 2)
    journal.update_project(KEY, row_id=7, connected=True)
    note_setup(journal)
    assert (journal.project(KEY).changed, journal.project(KEY).setups) == (1, 3)


@pytest.fixture
def confirmed(journal):
    """A project that Label Studio confirmed, and that was looked at since."""
    note_setup(journal)
    journal.update_project(KEY, row_id=7, connected=True, seen=1, checked_at=40.0)
    return journal


def test_note_setup_is_a_change_when_a_confirmed_project_has_another_host(confirmed):
    note_setup(confirmed, hostname="http://new")
    state = confirmed.project(KEY)
    assert (state.hostname, state.changed, state.checked_at) == ("http://new", 2, 0.0)


def test_note_setup_is_a_change_when_the_project_was_disconnected(confirmed):
    confirmed.update_project(KEY, connected=False)
    note_setup(confirmed)
    assert confirmed.project(KEY).changed == 2


@pytest.mark.parametrize("token", ["stranger", ""])
def test_note_setup_only_notes_an_offer_when_a_confirmed_project_has_another_token(
    confirmed, token
):
    before = confirmed.project(KEY)
    for _ in range(2):
        note_setup(confirmed, token=token, hostname="http://evil", backend_url="http://evil")
    offer = {"offered_token": token, "offered_hostname": "http://evil", "changed": 2}
    assert confirmed.project(KEY) == replace(before, **offer)


def test_unconfirmed_projects_are_few_however_many_are_named(journal):
    note_setup(journal)
    journal.update_project(KEY, row_id=7)
    for number in range(1, 200):
        note_setup(journal, f"{number}.5")
        journal.note_changed(f"{number}.6")
    states = journal.projects()
    assert len(states) == UNCONFIRMED_PROJECTS + 1
    assert journal.project(KEY).is_confirmed
    assert journal.project("199.6") is not None


def test_forget_unconfirmed_forgets_what_nobody_named_since(journal):
    note_setup(journal)
    seen = journal.project(KEY)
    note_setup(journal)
    journal.forget_unconfirmed(seen)
    assert journal.project(KEY) is not None
    journal.forget_unconfirmed(journal.project(KEY))
    assert journal.project(KEY) is None


def test_forget_unconfirmed_keeps_what_was_confirmed_or_has_rounds(journal):
    note_setup(journal)
    journal.open_round(round_state())
    journal.forget_unconfirmed(journal.project(KEY))
    assert journal.project(KEY) is not None


def test_instance_is_one_name_a_folder(tmp_path):
    names = {Journal.in_folder(tmp_path / "one").instance() for _ in range(3)}
    assert len(names) == 1
    assert Journal.in_folder(tmp_path / "two").instance() not in names


def test_open_round_answers_the_requests_for_training_that_came_before_it_looked(journal):
    journal.note_changed(KEY, training_requested=True)
    looked_at = journal.project(KEY).changed
    journal.open_round(round_state(0), looked_at=looked_at)
    assert not journal.project(KEY).training_requested


def test_open_round_leaves_a_request_for_training_that_came_after_it_looked(journal):
    journal.note_changed(KEY, training_requested=True)
    looked_at = journal.project(KEY).changed
    journal.note_changed(KEY, training_requested=True)
    journal.note_changed(KEY)
    journal.open_round(round_state(0), looked_at=looked_at)
    assert journal.project(KEY).training_requested


def test_key_of_is_the_newest_project_when_an_id_was_used_twice(journal):
    journal.note_changed("12.1600000000")
    journal.note_changed(KEY)
    assert journal.key_of("12") == KEY
    assert journal.key_of(KEY) == KEY
    assert journal.key_of("13") is None


def test_key_of_is_the_confirmed_project_when_somebody_named_a_newer_one(confirmed):
    note_setup(confirmed, "12.999999999999")
    assert confirmed.key_of("12") == KEY


def test_published_round_is_the_last_done_one_while_another_is_open(journal):
    journal.note_changed(KEY)
    first = round_state(0, "flip")
    journal.open_round(first)
    journal.update_round(first, phase="done")
    journal.open_round(round_state(1, "select"))
    assert journal.published_round(KEY).number == 0
    assert (journal.latest_round(KEY).number, journal.latest_round(KEY).phase) == (1, "select")
    assert journal.latest_round(KEY).settings == {"seed": "0"}


@pytest.fixture
def queue(journal):
    """A round whose batch of 3 and one task of its supply were noted; two hold a prediction."""
    state = round_state()
    journal.open_round(state)
    journal.tasks.put(KEY, [mirrored_task(100 + rank) for rank in range(4)])
    journal.add_to_queue(state, [queued_task(1), queued_task(0), queued_task(2)])
    journal.add_to_queue(state, [queued_task(3, is_reserve=True, class_name="cat")])
    journal.note_prediction(state, 100, 70)
    journal.note_prediction(state, 103, 73)
    return state


def test_queue_is_in_rank_order(journal, queue):
    found = [(task.task_id, task.prediction_id) for task in journal.queue(queue)]
    assert found == [(100, 70), (101, None), (102, None), (103, 73)]
    assert journal.next_rank(queue) == 4


def test_next_rank_is_the_first_when_nothing_was_published(journal):
    assert journal.next_rank(round_state(5)) == 0


def test_awaiting_is_what_holds_no_prediction(journal, queue):
    assert [task.task_id for task in journal.awaiting(queue)] == [101, 102]


def test_queue_progress_counts_labeled_skipped_and_deleted_tasks_as_done(journal, queue):
    assert journal.queue_progress(queue) == QueueProgress(4, batch=3, batch_done=0, waiting=2)
    journal.tasks.put(KEY, [mirrored_task(100, class_name="cat")])
    journal.tasks.put(KEY, [mirrored_task(101, is_skipped=True)])
    journal.tasks.remove(KEY, [102])
    assert journal.queue_progress(queue) == QueueProgress(4, batch=3, batch_done=3, waiting=1)
    assert [task.task_id for task in journal.waiting_tasks(queue)] == [103]


def test_note_gone_forgets_a_task_that_label_studio_no_longer_has(journal, queue):
    journal.note_gone(queue, 101)
    assert [task.task_id for task in journal.queue(queue)] == [100, 102, 103]
    assert journal.tasks.ids(KEY) == [100, 102, 103]


def test_forget_predictions_makes_tasks_await_publication_again(journal, queue):
    journal.forget_predictions(queue, [103])
    assert [task.task_id for task in journal.awaiting(queue)] == [101, 102, 103]


def test_forget_queues_before_leaves_the_rounds_own(journal, queue):
    later = round_state(1)
    journal.add_to_queue(later, [queued_task(0, 200)])
    journal.forget_queues_before(later)
    assert (journal.queue(queue), [task.task_id for task in journal.queue(later)]) == ([], [200])


def test_recent_round_s_are_the_last_finished_rounds(journal):
    for number in range(5):
        seconds = {"select": number - 0.5, "flip": 0.5}
        state = round_state(number, seconds=seconds, finished_at=99.0)
        journal.open_round(state)
    journal.open_round(round_state(5, "select", seconds={"select": 9.0}))
    assert journal.recent_round_s(KEY) == [4.0, 3.0, 2.0]


def test_phase_start_is_kept_while_the_phase_is_the_same(open_journal):
    now = [10.0]
    journal = open_journal(clock=lambda: now[0])
    journal.note_changed(KEY)
    journal.set_phase(KEY, "embed", 1, 9)
    now[0] = 20.0
    journal.set_phase(KEY, "embed", 2, 9)
    assert journal.project(KEY).phase_started_at == 10.0
    journal.set_phase(KEY, "select")
    assert journal.project(KEY).phase_started_at == 20.0


def test_unreadable_tasks_are_noted_with_their_last_reason_until_they_can_be_read(journal):
    journal.note_unreadable(KEY, [UnreadableTask(1, "/a", "gone", 1.0)])
    journal.note_unreadable(
        KEY, [UnreadableTask(2, "/b", "text", 2.0), UnreadableTask(1, "/a", "late", 3.0)]
    )
    found = [(task.task_id, task.reason) for task in journal.unreadable(KEY)]
    assert found == [(1, "late"), (2, "text")]
    journal.note_readable(KEY, [1])
    assert [task.task_id for task in journal.unreadable(KEY)] == [2]


def test_unreadable_in_pool_leaves_out_tasks_that_somebody_labeled(journal):
    journal.tasks.put(KEY, [mirrored_task(1), mirrored_task(2, class_name="cat")])
    journal.note_unreadable(KEY, [UnreadableTask(n, "/a", "gone", 1.0) for n in (1, 2, 3)])
    assert journal.unreadable_in_pool(KEY) == 1


def test_journal_names_folder_and_reason_when_the_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="MODEL_DIR"):
        Journal.in_folder(tmp_path / "file" / "data")


@pytest.mark.parametrize(("known", "expected"), [(None, 4), (7, None)])
def test_tasks_that_came_meanwhile_are_not_overlooked(journal, known, expected):
    journal.note_changed(KEY)
    journal.update_project(KEY, unembedded=None)  # as whoever reads tasks does
    journal.note_embedded(KEY, 30, 4, known=known)
    state = journal.project(KEY)
    assert (state.embedded, state.unembedded) == (30, expected)
