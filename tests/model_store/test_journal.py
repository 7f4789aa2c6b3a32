"""The journal: what one process notes, the other reads, and a second start finds."""

import threading

import pytest

from backend.errors import StoreError
from model_store.journal import Journal, QueuedTask, RoundState, UnreadableTask

KEY = "12.1700000000"


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal.in_folder(tmp_path, clock=lambda: 50.0)


def new_round(number: int, phase: str = "train") -> RoundState:
    return RoundState(
        *(KEY, number, phase, "auto", {"seed": "0"}, ["cat", "dog"], 4, 9, f"v{number}"),
        *(None, None, {}, {}, 50.0, None),
    )


def test_journal_is_found_again_when_it_is_opened_anew(tmp_path):
    Journal.in_folder(tmp_path).note_changed(KEY)
    assert Journal.in_folder(tmp_path).project(KEY).project_id == 12


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


def test_note_setup_keeps_what_label_studio_said(journal):
    journal.note_setup(KEY, label_config="<View/>", backend_url="http://b", token="t", hostname="")
    state = journal.project(KEY)
    assert (state.label_config, state.backend_url, state.connected) == ("<View/>", "http://b", True)


def note_setup(journal, **values) -> None:
    said = {"label_config": "<View/>", "backend_url": "http://b", "token": "t", "hostname": ""}
    journal.note_setup(KEY, **(said | values))


def test_note_setup_is_no_change_when_a_kept_project_says_the_same_again(journal):
    # Label Studio calls /setup whenever it is asked for the project's backends.
    note_setup(journal)
    note_setup(journal)
    assert journal.project(KEY).changed == 2
    journal.update_project(KEY, webhook_id=7)
    note_setup(journal)
    assert journal.project(KEY).changed == 2


@pytest.mark.parametrize("news", [{"label_config": "<View></View>"}, {"token": "u"}])
def test_note_setup_is_a_change_when_a_kept_project_says_something_new(journal, news):
    note_setup(journal)
    journal.update_project(KEY, webhook_id=7)
    note_setup(journal, **news)
    assert journal.project(KEY).changed == 2


def test_note_setup_is_a_change_when_the_project_was_disconnected(journal):
    note_setup(journal)
    journal.update_project(KEY, webhook_id=7, connected=False)
    note_setup(journal)
    assert (journal.project(KEY).changed, journal.project(KEY).connected) == (2, True)


def test_open_round_answers_the_requests_for_training_that_came_before_it_looked(journal):
    journal.note_changed(KEY, training_requested=True)
    looked_at = journal.project(KEY).changed
    journal.open_round(new_round(0), counters="9/0", looked_at=looked_at)
    assert not journal.project(KEY).training_requested
    assert journal.project(KEY).counters == "9/0"


def test_open_round_leaves_a_request_for_training_that_came_after_it_looked(journal):
    journal.note_changed(KEY, training_requested=True)
    looked_at = journal.project(KEY).changed
    journal.note_changed(KEY, training_requested=True)
    journal.note_changed(KEY)
    journal.open_round(new_round(0), looked_at=looked_at)
    assert journal.project(KEY).training_requested


def test_key_of_is_the_newest_project_when_an_id_was_used_twice(journal):
    journal.note_changed("12.1600000000")
    journal.note_changed(KEY)
    assert journal.key_of("12") == KEY
    assert journal.key_of(KEY) == KEY
    assert journal.key_of("13") is None


def test_published_round_is_the_last_done_one_while_another_is_open(journal):
    journal.note_changed(KEY)
    first = new_round(0)
    journal.open_round(first)
    journal.update_round(first, phase="done")
    journal.open_round(new_round(1, "embed"))
    assert journal.published_round(KEY).number == 0
    assert (journal.latest_round(KEY).number, journal.latest_round(KEY).phase) == (1, "embed")
    assert journal.latest_round(KEY).settings == {"seed": "0"}


def test_queue_is_replaced_and_ordered_by_rank(journal):
    state = new_round(0)
    journal.open_round(state)
    journal.set_queue(state, [QueuedTask(0, 9, 0, 0.0, False, None, None)])
    tasks = [
        QueuedTask(1, 5, 1, 0.5, True, "cat", 0.75),
        QueuedTask(0, 8, 0, 0.0, False, "dog", 0.5),
    ]
    journal.set_queue(state, tasks)
    journal.note_prediction(state, 5, 77)
    assert [(task.task_id, task.prediction_id) for task in journal.queue(state)] == [
        (8, None),
        (5, 77),
    ]


def test_phase_start_is_kept_while_the_phase_is_the_same(tmp_path):
    now = [10.0]
    journal = Journal.in_folder(tmp_path, clock=lambda: now[0])
    journal.note_changed(KEY)
    journal.set_phase(KEY, "embed", 1, 9)
    now[0] = 20.0
    journal.set_phase(KEY, "embed", 2, 9)
    assert journal.project(KEY).phase_started_at == 10.0
    journal.set_phase(KEY, "select")
    assert journal.project(KEY).phase_started_at == 20.0


def test_unreadable_tasks_are_replaced(journal):
    journal.set_unreadable(KEY, [UnreadableTask(1, "/a", "gone", 1.0)])
    journal.set_unreadable(KEY, [UnreadableTask(2, "/b", "text", 2.0)])
    assert [task.task_id for task in journal.unreadable(KEY)] == [2]


def test_journal_names_folder_and_reason_when_the_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="MODEL_DIR"):
        Journal.in_folder(tmp_path / "file" / "data")
