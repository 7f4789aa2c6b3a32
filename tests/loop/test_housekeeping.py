"""When the journal is copied, and what is removed for a project that is gone."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import JournalDamagedError, StoreError
from backend.loop import housekeeping
from backend.loop.housekeeping import GONE_AFTER_S, Housekeeping
from model_store.files import write_bytes
from model_store.journal import Journal
from model_store.thumbnails import drop_old_thumbnails, thumbnail_file
from tests.model_store.damage import flip_pages, settle
from tests.states import KEY, mirrored_task, round_state

NOW = 1_800_000_000.0
COPY = "journal-copy.sqlite"


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(housekeeping, "time", clock)
    return clock


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal.in_folder(tmp_path, clock=lambda: NOW)
    journal.note_changed(KEY)
    return journal


@pytest.fixture
def house(journal: Journal, tmp_path: Path, clock: Clock) -> Housekeeping:
    return Housekeeping(journal, tmp_path)


def copies(house: Housekeeping, folder: Path) -> bool:
    """Whether a copy is made now."""
    copy = folder / COPY
    before = copy.stat().st_ino if copy.exists() else None
    house.keep_copy()
    return copy.exists() and copy.stat().st_ino != before


def test_copy_is_made_at_once_and_then_only_when_something_happened(
    house, journal, tmp_path, clock
):
    assert copies(house, tmp_path)
    clock.now += 10_000
    assert not copies(house, tmp_path)
    journal.note_changed(KEY)
    assert copies(house, tmp_path)


def test_copy_waits_for_ten_minutes_when_no_round_ended(house, journal, tmp_path, clock):
    assert copies(house, tmp_path)
    journal.note_changed(KEY)
    clock.now += 599
    assert not copies(house, tmp_path)
    clock.now += 2
    assert copies(house, tmp_path)


def test_copy_is_made_soon_when_a_round_ended(house, journal, tmp_path, clock):
    assert copies(house, tmp_path)
    journal.open_round(round_state(0, "publish"))
    clock.now += 1
    assert not copies(house, tmp_path)
    journal.update_round(round_state(0, "publish"), phase="done")
    assert copies(house, tmp_path)


def test_copy_takes_a_fiftieth_of_the_time_at_most(house, journal, tmp_path, clock, monkeypatch):
    copy_journal = housekeeping.copy_journal

    def slowly(folder: Path) -> None:
        copy_journal(folder)
        clock.now += 20

    monkeypatch.setattr(housekeeping, "copy_journal", slowly)
    assert copies(house, tmp_path)
    clock.now += 999
    journal.open_round(round_state(0))
    assert not copies(house, tmp_path)
    clock.now += 1
    assert copies(house, tmp_path)


def test_damage_that_nobody_came_across_is_found_by_copying(house, journal, tmp_path, clock):
    journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(5000)])
    settle(tmp_path / "journal.sqlite")
    flip_pages(tmp_path / "journal.sqlite", first=60)
    assert journal.project(KEY) is not None
    with pytest.raises(JournalDamagedError):
        house.keep_copy()


def replaced(journal: Path) -> None:
    """Another file in its place, as a restored backup is."""
    other = journal.with_name("other")
    shutil.copyfile(journal, other)
    other.replace(journal)


@pytest.mark.parametrize("lose", [Path.unlink, replaced], ids=["gone", "replaced"])
def test_journal_that_is_another_file_is_found_at_once(house, tmp_path, lose):
    house.tend()
    house.tend()
    lose(tmp_path / "journal.sqlite")
    with pytest.raises(JournalDamagedError, match="the journal is gone, or another file"):
        house.tend()


def folder_of_project(path: Path, age_s: float) -> Path:
    """The folder of a project in which nothing happened for so long."""
    write_bytes(path / "rounds" / "00000-ranking.parquet", b"x")
    for folder in (path / "rounds", path):
        os.utime(folder, (NOW - age_s, NOW - age_s))
    return path


def test_folder_goes_with_its_project_and_no_other(house, journal, tmp_path):
    gone = folder_of_project(tmp_path / "9.1600000000", GONE_AFTER_S + 1)
    long_quiet = folder_of_project(tmp_path / KEY, GONE_AFTER_S + 1)
    lately_lost = folder_of_project(tmp_path / "8.1600000000", GONE_AFTER_S - 1)
    other = folder_of_project(tmp_path / "hub", GONE_AFTER_S + 1)
    journal.note_changed("9.1600000000")
    old = {"seen": 1, "checked_at": 0.0, "phase_started_at": NOW - GONE_AFTER_S - 1}
    journal.update_project("9.1600000000", connected=False, **old)
    journal.update_project(KEY, connected=True, **old)
    house.clean()
    assert not gone.exists()
    assert long_quiet.exists()
    assert lately_lost.exists()
    assert other.exists()
    assert [state.key for state in journal.projects()] == [KEY]


def test_small_pictures_of_a_project_stay_few(house, journal, tmp_path, monkeypatch):
    monkeypatch.setattr(drop_old_thumbnails, "__defaults__", (2,))
    for number in range(3):
        path = thumbnail_file(tmp_path / KEY, f"{number}")
        write_bytes(path, b"x")
        os.utime(path, (number, number))
    house.clean()
    assert sorted(path.stem for path in (tmp_path / KEY / "thumbnails").iterdir()) == ["1", "2"]


def test_house_is_cleaned_at_once_and_every_six_hours(house, tmp_path, clock):
    leftover = tmp_path / "rounds" / ".writing-abc"
    for wait_s, expected in ((0.0, False), (6 * 3600.0 - 1, True), (1.0, False)):
        clock.now += wait_s
        write_bytes(leftover, b"half")
        os.utime(leftover, (NOW - 3601, NOW - 3601))
        house.tend()
        assert leftover.exists() is expected


@pytest.mark.postgresql
def test_journal_of_several_machines_is_tidied_and_not_copied(tmp_path, database_url, clock):
    with closing(Journal(database_url, clock=lambda: NOW)) as journal:
        gone = folder_of_project(tmp_path / "9.1600000000", GONE_AFTER_S + 1)
        Housekeeping(journal, tmp_path).tend()
    assert not gone.exists()
    assert not (tmp_path / COPY).exists()


def test_what_a_machine_noted_goes_when_it_does_so_no_more(house, tmp_path):
    for name, age_s in (("gone-9090", GONE_AFTER_S + 1), ("here-9090", GONE_AFTER_S - 1)):
        folder = tmp_path / "machines" / name
        write_bytes(folder / "worker.lock", b"")
        os.utime(folder, (NOW - age_s, NOW - age_s))
    house.clean()
    assert [path.name for path in (tmp_path / "machines").iterdir()] == ["here-9090"]


def test_house_is_kept_when_a_file_goes_while_it_is_looked_at(house, tmp_path, monkeypatch):
    def vanished(*_arguments: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(housekeeping, "remove_leftovers", vanished)
    with pytest.raises(StoreError, match="MODEL_DIR cannot be tidied: No such file"):
        house.tend()
