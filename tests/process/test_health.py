"""What is said of the backend as a whole when something keeps it from its work."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.process.health import Health
from backend.process.startup import folder_of, open_journal
from backend.process.troubles import Troubles
from backend.settings import Settings
from model_store.journal import Journal
from model_store.journal_file import mend_journal
from tests.model_store.damage import flip_pages, settle, small_disk, write_lock
from tests.states import KEY, mirrored_task


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Iterator[Journal]:
    with closing(open_journal(settings)) as journal:
        yield journal


@pytest.fixture
def file(settings: Settings) -> Path:
    """The journal's file."""
    return folder_of(settings) / "journal.sqlite"


def test_nothing_is_said_when_all_is_well(settings, journal):
    health = Health(settings, journal)
    assert (health.troubles(), health.notices()) == ([], [])


def test_nothing_is_said_while_another_process_writes(settings, journal, file):
    with write_lock(file):
        assert Health(settings, journal).troubles() == []


def test_troubles_say_what_was_noted_until_it_is_taken_back(settings, journal):
    troubles, health = Troubles(folder_of(settings)), Health(settings, journal)
    troubles.note("queues", "the journal is locked by another process")
    troubles.note("background", "no space is left")
    assert health.troubles() == ["no space is left", "the journal is locked by another process"]
    troubles.note("queues", "it is locked still")
    assert health.troubles() == ["no space is left", "it is locked still"]
    troubles.clear("queues", "nobody")
    assert health.troubles() == ["no space is left"]
    troubles.clear_all()
    assert health.troubles() == []


def test_troubles_say_that_the_journal_is_damaged(settings, journal, file):
    journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(2000)])
    settle(file)
    flip_pages(file)
    (said,) = Health(settings, journal).troubles()
    assert said.startswith("the journal is damaged: ")
    assert str(file.parent) not in said


def test_troubles_say_that_a_table_is_missing(settings, journal, file):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE layout")
    assert Health(settings, journal).troubles() == ["the journal is damaged: no such table: layout"]


def test_troubles_say_that_no_space_is_left(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        settings = Settings(model_dir=disk.path)
        with closing(open_journal(settings)) as journal:
            settle(folder_of(settings) / "journal.sqlite")
            health = Health(settings, journal)
            disk.fill()
            (said,) = health.troubles()
            assert said.startswith("the journal cannot be written: no space is left")
            # A note cannot be kept either, and that is no error.
            Troubles(folder_of(settings)).note("queues", "no space is left")
            disk.free()
            assert health.troubles() == []


def test_notices_say_for_a_while_that_the_journal_went_back(settings, journal, file):
    journal.close()
    file.write_bytes(b"no database")
    mend_journal(file.parent)
    set_aside = file.with_name("journal.sqlite.damaged")
    os.utime(set_aside, (1_800_000_000, 1_800_000_000))
    (said,) = Health(settings, journal).notices()
    assert said == (
        "on 2027-01-15 the journal was damaged, and went back to its copy or began anew; the "
        "damaged one is kept as journal.sqlite.damaged"
    )
