"""When a new round is due."""

from dataclasses import replace

import pytest

from backend.label_studio.annotations import TaskState
from backend.loop import due as decide
from model_store.journal import Journal, ProjectState, QueuedTask, RoundState

CLASSES = ["cat", "dog"]


@pytest.fixture
def project(tmp_path) -> ProjectState:
    journal = Journal.in_folder(tmp_path, clock=lambda: 1000.0)
    journal.note_changed("1.5")
    journal.update_project("1.5", batch_progress_at=1000.0, counters="9/0/0/0")
    return journal.project("1.5")


@pytest.fixture
def published() -> RoundState:
    return RoundState(
        "1.5", 0, "done", "auto", {}, CLASSES, 0, 9, "v", None, None, {}, {}, 0.0, 1.0
    )


def queued(rank, *, reserve=False):
    return QueuedTask(rank, 100 + rank, rank, rank / 10, reserve, None, None)


def state_of(task_id, *, done=False, skipped=False):
    return TaskState(task_id, "/a", None, None, done, skipped)


def due(project, published, progress, now=1000.0, classes=CLASSES):
    return decide.due_reason(project, published, progress, classes, now=now, idle_s=60.0)


def test_batch_progress_counts_labeled_skipped_and_deleted_as_done():
    queue = [queued(0), queued(1), queued(2), queued(3), queued(4, reserve=True)]
    states = {
        100: state_of(100, done=True),
        101: state_of(101, skipped=True),
        103: state_of(103),
        104: state_of(104, done=True),
    }
    assert decide.batch_progress(queue, states) == decide.BatchProgress(3, 4, 1)


def test_due_reason_is_none_while_the_batch_is_being_labeled(project, published):
    assert due(project, published, decide.BatchProgress(3, 4, 0)) is None


def test_due_reason_is_batch_done_when_nothing_is_left(project, published):
    assert due(project, published, decide.BatchProgress(4, 4, 0)) == decide.BATCH_DONE


def test_due_reason_is_none_when_a_task_is_left_open_for_a_short_time(project, published):
    assert due(project, published, decide.BatchProgress(3, 4, 2), now=1059.0) is None


def test_due_reason_is_left_behind_when_others_moved_on_long_ago(project, published):
    progress = decide.BatchProgress(3, 4, 2)
    assert due(project, published, progress, now=1061.0) == decide.LEFT_BEHIND


def test_due_reason_is_none_when_nobody_works(project, published):
    # Nobody was given the reserve: nobody waits for the last tasks.
    assert due(project, published, decide.BatchProgress(3, 4, 0), now=9999.0) is None


def test_due_reason_is_training_when_it_was_requested(project, published):
    asked = replace(project, training_requested=True)
    assert due(asked, published, decide.BatchProgress(0, 4, 0)) == decide.START_TRAINING


def test_due_reason_is_classes_when_the_config_has_another_one(project, published):
    progress = decide.BatchProgress(0, 4, 0)
    reason = due(project, published, progress, classes=["cat", "dog", "bird"])
    assert reason == decide.CLASSES_CHANGED


@pytest.mark.parametrize(
    ("counters", "retry_at", "reason"),
    [
        ("9/0/0/0", None, None),
        ("10/0/0/0", None, decide.POOL_CHANGED),
        ("9/0/0/0", 1001.0, None),
        ("9/0/0/0", 999.0, "unreadable images are tried again"),
    ],
)
def test_reopened_reason_follows_counters_and_retries(project, counters, retry_at, reason):
    found = decide.reopened_reason(project, counters, retry_unreadable_at=retry_at, now=1000.0)
    assert found == reason
