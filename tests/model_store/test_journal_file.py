"""The journal's copy, and the way back to it from every kind of damage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import JournalDamagedError, JournalError
from model_store.journal import Journal
from model_store.journal_file import copy_journal, mend_journal
from tests.model_store.damage import flip_bytes, flip_pages, settle, write_lock
from tests.states import KEY, mirrored_task, queued_task, round_state, tuning_state

JOURNAL = "journal.sqlite"
COPY = "journal-copy.sqlite"
DAMAGED = "journal.sqlite.damaged"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose journal knows a project with a finished round and many tasks."""
    with closing(Journal.in_folder(tmp_path)) as journal:
        fill(journal)
    return tmp_path


def fill(journal: Journal) -> None:
    journal.note_changed(KEY)
    journal.update_project(KEY, title="before the copy")
    journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(2000)])
    journal.open_round(round_state(3))
    journal.add_to_queue(round_state(3), [queued_task(rank) for rank in range(300)])
    journal.tunings.open(tuning_state(1))


def go_on(folder: Path) -> None:
    """What happens between the copy and the damage."""
    with closing(Journal.in_folder(folder)) as journal:
        journal.update_project(KEY, title="after the copy")
        journal.open_round(round_state(4, "publish"))
        journal.add_to_queue(round_state(4, "publish"), [queued_task(0)])


def titles(folder: Path) -> list[str]:
    with closing(Journal.in_folder(folder)) as journal:
        return [state.title for state in journal.projects()]


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def drop_column(path: Path, table: str, column: str) -> None:
    execute(path, f"ALTER TABLE {table} DROP COLUMN {column}")


def spoil_json(path: Path) -> None:
    execute(path, "UPDATE round SET settings = '{half'")


def spoil_text(path: Path) -> None:
    execute(path, "UPDATE project SET title = CAST(x'ff00ff' AS TEXT)")


DAMAGES = {
    "pages": flip_pages,
    "header": lambda path: flip_bytes(path, 0, 100),
    "no database at all": lambda path: path.write_bytes(b"what is this?" * 1000),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:20_000]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "a row's JSON": spoil_json,
    "a row's text": spoil_text,
    "a column": lambda path: drop_column(path, "project", "tab_id"),
    "a column that has no default": lambda path: drop_column(path, "project", "phase"),
    "a table": lambda path: execute(path, "DROP TABLE batch"),
    "the table that names the layout": lambda path: execute(path, "DROP TABLE layout"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_journal_goes_back_to_its_copy_when_it_is_damaged(folder, damage):
    copy_journal(folder)
    go_on(folder)
    settle(folder / JOURNAL)
    DAMAGES[damage](folder / JOURNAL)
    mend_journal(folder)
    assert titles(folder) == ["before the copy"]
    with closing(Journal.in_folder(folder)) as journal:
        assert len(journal.tasks.ids(KEY)) == 2000
        assert journal.tunings.newest(KEY).number == 1


def test_journal_stays_when_it_is_whole(folder):
    copy_journal(folder)
    go_on(folder)
    mend_journal(folder)
    assert titles(folder) == ["after the copy"]
    assert not (folder / DAMAGED).exists()


def test_missing_column_is_added_when_there_is_no_copy(folder):
    go_on(folder)
    drop_column(folder / JOURNAL, "project", "tab_id")
    mend_journal(folder)
    assert titles(folder) == ["after the copy"]


def test_journal_is_made_where_there_is_none(tmp_path):
    mend_journal(tmp_path)
    assert titles(tmp_path) == []
    assert not (tmp_path / DAMAGED).exists()


def test_damaged_journal_is_kept_aside(folder):
    copy_journal(folder)
    settle(folder / JOURNAL)
    flip_pages(folder / JOURNAL)
    damaged = (folder / JOURNAL).read_bytes()
    mend_journal(folder)
    assert (folder / DAMAGED).read_bytes() == damaged


def test_journal_begins_anew_when_there_is_no_copy(folder):
    settle(folder / JOURNAL)
    flip_pages(folder / JOURNAL)
    mend_journal(folder)
    assert titles(folder) == []


def test_journal_begins_anew_when_its_copy_is_damaged_too(folder):
    copy_journal(folder)
    settle(folder / JOURNAL)
    for name in (JOURNAL, COPY):
        flip_pages(folder / name)
    mend_journal(folder)
    assert titles(folder) == []


def test_log_of_a_damaged_journal_does_not_reach_its_copy(folder):
    copy_journal(folder)
    journal = Journal.in_folder(folder)
    journal.update_project(KEY, title="only in the log")
    flip_pages(folder / JOURNAL)
    mend_journal(folder)
    assert titles(folder) == ["before the copy"]
    journal.close()


def test_going_back_is_finished_when_it_was_interrupted(folder):
    copy_journal(folder)
    # Killed between setting the damaged one aside and putting the copy in its place.
    (folder / JOURNAL).rename(folder / DAMAGED)
    mend_journal(folder)
    assert titles(folder) == ["before the copy"]


def test_round_under_way_is_forgotten_when_the_journal_goes_back(folder):
    go_on(folder)
    copy_journal(folder)
    (folder / JOURNAL).unlink()
    mend_journal(folder)
    with closing(Journal.in_folder(folder)) as journal:
        latest = journal.latest_round(KEY)
        assert (latest.number, latest.phase) == (3, "recall")
        assert len(journal.queue(latest)) == 300
        assert journal.queue(round_state(4)) == []


def test_copy_keeps_the_last_whole_state_when_the_journal_is_damaged(folder):
    copy_journal(folder)
    copied = (folder / COPY).read_bytes()
    settle(folder / JOURNAL)
    flip_pages(folder / JOURNAL, first=5)
    with pytest.raises(JournalDamagedError):
        copy_journal(folder)
    assert (folder / COPY).read_bytes() == copied


def test_copy_leaves_nothing_else_behind(folder):
    copy_journal(folder)
    found = {path.name for path in folder.iterdir()} - {f"{JOURNAL}-wal", f"{JOURNAL}-shm"}
    assert found == {JOURNAL, COPY}


def test_copy_is_taken_while_another_process_writes(folder):
    with write_lock(folder / JOURNAL):
        copy_journal(folder)
    (folder / JOURNAL).unlink()
    mend_journal(folder)
    assert titles(folder) == ["before the copy"]


def test_copy_says_that_the_journal_is_gone(tmp_path):
    with pytest.raises(JournalDamagedError, match="the journal is gone"):
        copy_journal(tmp_path)


def test_mending_says_that_the_journal_is_locked_and_changes_nothing(folder, monkeypatch):
    monkeypatch.setattr("model_store.journal_file.MEND_BUSY_S", 0.1)
    copy_journal(folder)
    go_on(folder)
    with write_lock(folder / JOURNAL), pytest.raises(JournalError, match="locked"):
        mend_journal(folder)
    assert titles(folder) == ["after the copy"]
