"""What the journal forgets, and whether it can be read and written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa

from backend.errors import JournalDamagedError, JournalError
from model_store import schema
from model_store.audits import Draw
from model_store.journal import Journal, UnreadableTask
from model_store.task_mirror import Reading
from model_store.upkeep import KEPT_ROWS, OF_A_PROJECT
from tests.model_store.conftest import execute
from tests.model_store.damage import flip_pages, settle, small_disk, write_lock
from tests.states import KEY, mirrored_task, queued_task, round_state, tuning_state

OTHER = "13.1700000000"
NOW = 1_000_000.0
FILE = "journal.sqlite"


@pytest.fixture
def journal(open_journal) -> Journal:
    return open_journal(clock=lambda: NOW)


def fill(journal: Journal, key: str, **values: object) -> None:
    """A project with a row in every table but that of the leases."""
    journal.note_changed(key)
    journal.open_round(round_state(key=key))
    journal.add_to_queue(round_state(key=key), [queued_task(0)])
    journal.tunings.open(tuning_state(key=key))
    journal.tasks.put(key, [mirrored_task(7)])
    journal.tasks.set_reading(key, Reading(page_count=1))
    journal.audits.note(key, 0, [Draw(7, 20, 0.1, {"cat": 0.5, "dog": 0.5})])
    journal.asked.first(key, [7])
    journal.note_unreadable(key, [UnreadableTask(7, "/7.png", "no image", NOW)])
    journal.update_project(key, seen=1, phase_started_at=0.0, **values)


def rows_of(url: str, key: str) -> dict[str, int]:
    """How many rows each table holds of a project."""
    count = "SELECT count(*) FROM {} WHERE key = :key"
    return {
        table.name: execute(url, count.format(table.name), key=key)[0][0] for table in OF_A_PROJECT
    }


def test_every_table_with_a_key_belongs_to_a_project():
    keyed = {table.name for table in schema.metadata.sorted_tables if "key" in table.c}
    assert {table.name for table in OF_A_PROJECT} == keyed


def test_gone_project_goes_with_all_its_rows_and_no_other(journal, journal_url):
    fill(journal, KEY, connected=False, checked_at=100.0)
    fill(journal, OTHER, connected=True, checked_at=100.0)
    for key in (KEY, OTHER):
        execute(journal_url, "INSERT INTO lease (key) VALUES (:key)", key=key)
    assert set(rows_of(journal_url, KEY).values()) == {1}
    assert journal.upkeep.drop_gone_projects(before=101.0) == [KEY]
    assert set(rows_of(journal_url, KEY).values()) == {0}
    assert set(rows_of(journal_url, OTHER).values()) == {1}


def test_lease_goes_when_its_project_was_forgotten(journal, journal_url):
    fill(journal, KEY)
    for key in (KEY, OTHER):
        execute(journal_url, "INSERT INTO lease (key) VALUES (:key)", key=key)
    journal.upkeep.drop_old_rows()
    assert execute(journal_url, "SELECT key FROM lease") == [(KEY,)]


@pytest.mark.parametrize(
    "values",
    [
        {"connected": True, "checked_at": 0.0},
        {"connected": False, "checked_at": 101.0},
        {"connected": False, "checked_at": 0.0, "phase_started_at": 101.0},
        {"connected": False, "checked_at": 0.0, "changed": 2},
    ],
    ids=["connected", "looked at lately", "disconnected lately", "something happened"],
)
def test_project_stays_when_it_may_still_be_needed(journal, values):
    fill(journal, KEY)
    journal.update_project(KEY, **values)
    assert journal.upkeep.drop_gone_projects(before=101.0) == []
    assert journal.project(KEY) is not None


def test_last_rounds_and_networks_stay(journal, journal_url):
    for number in range(KEPT_ROWS + 3):
        journal.open_round(round_state(number))
        journal.tunings.open(tuning_state(number))
    journal.open_round(round_state(0, key=OTHER))
    journal.add_to_queue(round_state(1), [queued_task(0)])
    journal.upkeep.drop_old_rows()
    assert rows_of(journal_url, KEY)["round"] == KEPT_ROWS
    numbers = [number for number in range(KEPT_ROWS + 3) if journal.tunings.get(KEY, number)]
    assert numbers == list(range(3, KEPT_ROWS + 3))
    assert journal.latest_round(OTHER).number == 0
    assert journal.queue(round_state(1)) == []


def test_unreadable_image_is_forgotten_when_its_task_is_gone(journal):
    journal.tasks.put(KEY, [mirrored_task(7)])
    found = [UnreadableTask(task_id, "x", "no image", NOW) for task_id in (7, 8)]
    journal.note_unreadable(KEY, found)
    journal.upkeep.drop_old_rows()
    assert [task.task_id for task in journal.unreadable(KEY)] == [7]


def test_stamp_changes_first_where_a_round_ended(journal):
    fill(journal, KEY)
    before = journal.upkeep.stamp()
    assert journal.upkeep.stamp() == before
    journal.note_changed(KEY)
    noted = journal.upkeep.stamp()
    assert noted != before
    assert noted[0] == before[0]
    journal.open_round(round_state(1))
    assert journal.upkeep.stamp()[0] == before[0] + 1


def test_probe_is_silent_when_the_journal_can_be_written(journal):
    journal.upkeep.probe()


def test_probe_waits_for_nobody_when_another_process_writes(tmp_path):
    journal = Journal.in_folder(tmp_path)
    with write_lock(tmp_path / FILE):
        journal.upkeep.probe()


def test_probe_says_what_is_wrong_when_a_column_is_missing(tmp_path):
    journal = Journal.in_folder(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("ALTER TABLE layout RENAME COLUMN number TO other")
    with pytest.raises(JournalDamagedError, match="the journal is damaged: no such column"):
        journal.upkeep.probe()


def test_error_says_that_the_journal_is_locked(tmp_path):
    journal = Journal.in_folder(tmp_path)
    journal.upkeep.limit_waiting(0.1)
    with (
        write_lock(tmp_path / FILE),
        pytest.raises(JournalError, match="the journal is locked by another process") as raised,
    ):
        journal.note_changed(KEY)
    assert not isinstance(raised.value, JournalDamagedError)
    journal.note_changed(KEY)


def test_error_says_that_the_journal_is_damaged(tmp_path):
    journal = Journal.in_folder(tmp_path)
    fill(journal, KEY)
    journal.close()
    settle(tmp_path / FILE)
    flip_pages(tmp_path / FILE)
    with pytest.raises(JournalDamagedError, match="the journal is damaged: database disk image"):
        Journal.in_folder(tmp_path).projects()


def test_error_says_that_no_space_is_left_and_goes_when_there_is_some(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        journal = Journal.in_folder(disk.path)
        journal.note_changed(KEY)
        disk.fill()
        with pytest.raises(JournalError, match="no space is left") as raised:
            journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(3000)])
        assert not isinstance(raised.value, JournalDamagedError)
        disk.free()
        journal.tasks.put(KEY, [mirrored_task(7)])
        journal.upkeep.verify()
        assert journal.tasks.ids(KEY) == [7]
        journal.close()


def test_integrity_errors_are_not_the_journals(journal):
    journal.open_round(round_state(1))
    with pytest.raises(sa.exc.IntegrityError):
        journal.open_round(round_state(1))
