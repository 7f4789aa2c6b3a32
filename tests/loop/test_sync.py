"""What is read of Label Studio when: pages first, then changes; Label Studio is imitated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from backend.label_studio.client import MOMENT_FORMAT, TaskPage
from backend.label_studio.label_config import ImageChoices
from backend.loop import sync
from backend.loop.context import ProjectContext, WorkerContext
from backend.settings import Settings
from model_store.journal import Journal
from model_store.project_folder import ProjectFolder
from model_store.task_mirror import Pace
from tests.states import KEY

CONFIG = ImageChoices("label", "image", "image", ("cat", "dog"))
START = datetime(2026, 1, 1, tzinfo=UTC)


class ImitatedLabelStudio:
    """Tasks with the moment they last changed, as the API shows them."""

    def __init__(self, count: int) -> None:
        self.tasks: dict[int, dict[str, Any]] = {}
        self.pages: list[int] = []
        self.asked_since: list[datetime] = []
        self.whole_reads = 0
        for task_id in range(1, count + 1):
            self.change(task_id, seconds=0)

    def change(self, task_id: int, *, seconds: float, label: str | None = None) -> None:
        """Add or annotate a task, so many seconds after START."""
        moment = (START + timedelta(seconds=seconds)).strftime(MOMENT_FORMAT)
        notes = []
        if label is not None:
            region = {"from_name": "label", "value": {"choices": [label]}}
            notes = [{"result": [region], "created_at": moment, "completed_by": 5}]
        self.tasks[task_id] = {
            "id": task_id,
            "data": {"image": f"/{task_id}.png"},
            "annotations": notes,
            "updated_at": moment,
        }

    def newest_change(self, _project: int) -> str | None:
        return max((task["updated_at"] for task in self.tasks.values()), default=None)

    def task_page(self, _project: int, page: int, size: int) -> TaskPage:
        self.pages.append(page)
        ordered = [self.tasks[task_id] for task_id in sorted(self.tasks)]
        return TaskPage(ordered[(page - 1) * size : page * size], len(ordered))

    def changed_tasks(self, _project: int, since: datetime, at_most: int):
        self.asked_since.append(since)
        text = since.strftime(MOMENT_FORMAT)
        found = [task for task in self.tasks.values() if task["updated_at"] > text]
        return found if len(found) <= at_most else None

    def project(self, _project: int) -> Any:
        """What the project's counts are at this moment."""
        return SimpleNamespace(task_count=len(self.tasks))

    def task_ids(self, _project: int) -> list[int]:
        self.whole_reads += 1
        return sorted(self.tasks)

    def selected_tasks(self, _project: int, task_ids: list[int]):
        return [self.tasks[task_id] for task_id in task_ids]


@pytest.fixture
def clock() -> list[float]:
    return [5000.0]


@pytest.fixture
def journal(tmp_path, clock) -> Journal:
    journal = Journal.in_folder(tmp_path, clock=lambda: clock[0])
    journal.note_changed(KEY)
    return journal


@pytest.fixture
def make_context(journal, tmp_path, monkeypatch):
    """A context whose project has so many tasks; pages hold 10, one is read at a time."""
    monkeypatch.setattr(sync, "PAGE_TASKS", 10)
    monkeypatch.setattr(sync, "READ_FOR_S", 0.0)

    def make(count: int) -> ProjectContext:
        anything: Any = SimpleNamespace()
        worker = WorkerContext(Settings(model_dir=tmp_path), journal, anything, anything)
        client: Any = ImitatedLabelStudio(count)
        return ProjectContext(worker, client, anything, ProjectFolder(tmp_path), KEY, 12, CONFIG)

    return make


def look(context):
    """One pass; whether the first reading has more to read."""
    sync.read_changes(context)
    sync.read_pages(context)
    return not context.journal.tasks.reading(KEY).is_whole


def test_first_reading_pauses_when_somebody_labels(make_context, journal, monkeypatch):
    context = make_context(70)
    monkeypatch.setattr(sync, "READ_FOR_S", 3600.0)
    read_page = context.client.task_page

    def label_at_the_third(*page):
        if len(context.client.pages) == 2:
            journal.note_changed(KEY)
        return read_page(*page)

    context.client.task_page = label_at_the_third
    assert look(context)
    assert len(context.client.pages) == 3
    assert not look(context)
    assert sorted(context.client.pages) == [1, 2, 3, 4, 5, 6, 7]


def read_all(context):
    passes = 1
    while look(context):
        passes += 1
    return passes


def test_spread_order_begins_with_pages_far_apart():
    assert sync.spread_order(8) == [1, 5, 3, 7, 2, 6, 4, 8]
    assert sync.spread_order(1) == [1]


@pytest.mark.parametrize("count", [2, 3, 5, 7, 100])
def test_spread_order_has_every_page_once(count):
    assert sorted(sync.spread_order(count)) == list(range(1, count + 1))


def test_first_reading_is_by_pages_that_spread_over_the_project(make_context, journal):
    context = make_context(40)
    assert look(context)
    assert journal.tasks.ids(KEY) == list(range(1, 11))
    assert look(context)
    assert context.client.pages == [1, 3]
    read_all(context)
    assert sorted(context.client.pages) == [1, 2, 3, 4]
    assert journal.tasks.ids(KEY) == list(range(1, 41))


def test_reading_goes_on_where_it_was_when_the_worker_was_killed(make_context):
    context = make_context(40)
    look(context)
    again = replace(context, client=context.client)
    read_all(again)
    assert sorted(context.client.pages) == [1, 2, 3, 4]


def test_empty_project_is_read_at_once(make_context, journal):
    context = make_context(0)
    assert read_all(context) == 1
    assert journal.tasks.reading(KEY).is_whole
    context.client.change(1, seconds=5)
    read_all(context)
    assert journal.tasks.ids(KEY) == [1]


def test_only_what_changed_is_read_after_that(make_context, journal, clock):
    context = make_context(25)
    read_all(context)
    clock[0] += 60
    context.client.pages.clear()
    context.client.change(7, seconds=30, label="dog")
    context.client.change(26, seconds=31)
    assert not look(context)
    assert context.client.pages == []
    assert journal.tasks.counts(KEY).labeled == 1
    assert journal.tasks.columns(KEY)["class_name"][6] == "dog"
    annotated_at = (START + timedelta(seconds=30)).timestamp()
    assert journal.tasks.newest_annotation(KEY) == annotated_at
    assert journal.tasks.pace(KEY, annotated_at) == Pace(labels=1, annotators=1)
    assert journal.tasks.ids(KEY)[-1] == 26


def test_a_change_that_shows_late_is_not_missed(make_context, journal, clock):
    # Its transaction ended after that of a later change.
    context = make_context(5)
    read_all(context)
    context.client.change(1, seconds=30, label="cat")
    look(context)
    clock[0] += 2
    context.client.change(2, seconds=25, label="cat")
    look(context)
    assert journal.tasks.counts(KEY).labeled == 2


def test_nothing_is_read_twice_for_good_after_an_import(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    clock[0] += 60
    look(context)  # with overlap, for the last time
    look(context)
    newest = datetime.fromisoformat(context.client.newest_change(12).replace("Z", "+00:00"))
    assert context.client.asked_since[-1] == newest


def test_a_late_change_is_not_missed_when_only_polling_finds_it(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    clock[0] += 60
    context.client.change(1, seconds=70, label="cat")
    look(context)
    context.client.change(2, seconds=69, label="cat")
    clock[0] += 60
    look(context)
    assert journal.tasks.counts(KEY).labeled == 2


def test_a_dense_import_is_read_to_its_end(make_context, journal, clock, monkeypatch):
    # All within the overlap, and more than are read as changes.
    monkeypatch.setattr(sync, "MANY_CHANGES", 20)
    context = make_context(60)
    for _ in range(8):
        look(context)
        clock[0] += 3
    assert journal.tasks.reading(KEY).is_whole
    assert len(journal.tasks.ids(KEY)) == 60


def test_an_import_of_very_many_tasks_is_read_by_pages(make_context, journal, clock, monkeypatch):
    monkeypatch.setattr(sync, "MANY_CHANGES", 20)
    context = make_context(15)
    read_all(context)
    clock[0] += 60
    for task_id in range(100, 150):
        context.client.change(task_id, seconds=90)
    assert look(context)
    clock[0] += 60
    read_all(context)
    assert len(journal.tasks.ids(KEY)) == 65


def test_new_tasks_are_noted_as_not_looked_at(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    journal.update_project(KEY, unembedded=0)
    context.client.change(3, seconds=30, label="cat")
    look(context)
    assert journal.project(KEY).unembedded == 0
    context.client.change(6, seconds=31)
    look(context)
    assert journal.project(KEY).unembedded is None


def test_all_tasks_are_read_again_when_the_label_config_decides_otherwise(make_context, journal):
    context = make_context(5)
    context.client.change(1, seconds=30, label="bird")
    read_all(context)
    assert journal.tasks.counts(KEY).labeled == 0
    other = replace(context, config=replace(CONFIG, classes=("cat", "dog", "bird")))
    read_all(other)
    assert journal.tasks.counts(KEY).labeled == 1


def test_compare_forgets_deleted_tasks_and_reads_missed_ones(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    del context.client.tasks[2]
    context.client.change(9, seconds=-100)
    context.client.change(8, seconds=-100)
    clock[0] += 59
    sync.compare(context)
    assert context.client.whole_reads == 0
    clock[0] += 2
    sync.compare(context)
    assert journal.tasks.ids(KEY) == [1, 3, 4, 5, 8, 9]
    assert context.client.whole_reads == 1


def test_compare_keeps_what_came_while_it_listed(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    clock[0] += 61
    listed = context.client.task_ids

    def list_slowly(project_id):
        ids = listed(project_id)
        context.client.change(6, seconds=40)
        look(context)
        return ids

    del context.client.tasks[2]
    context.client.task_ids = list_slowly
    sync.compare(context)
    assert journal.tasks.ids(KEY) == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("noted", [5, 3])
def test_compare_reads_nothing_while_the_counts_agree(make_context, journal, clock, noted):
    # The count that was noted may be from before an import.
    context = make_context(5)
    read_all(context)
    journal.update_project(KEY, pool=noted)
    clock[0] += sync.COMPARE_EVERY_S - 1
    sync.compare(context)
    assert context.client.whole_reads == 0
    clock[0] += 2
    sync.compare(context)
    assert context.client.whole_reads == 1


def looked_at(journal, clock, annotations):
    """Label Studio's count is looked at."""
    journal.update_project(KEY, annotations=annotations, checked_at=clock[0])


def test_labels_are_found_that_label_studio_dates_back(make_context, journal, clock):
    # Its clock was set back by an hour.
    context = make_context(25)
    read_all(context)
    clock[0] += 700
    context.client.change(7, seconds=-3000, label="dog")
    looked_at(journal, clock, annotations=1)
    look(context)
    clock[0] += 59
    looked_at(journal, clock, annotations=1)
    look(context)
    assert journal.tasks.counts(KEY).labeled == 0  # it may only be a moment ahead
    clock[0] += 2
    looked_at(journal, clock, annotations=1)
    read_all(context)
    assert journal.tasks.counts(KEY).labeled == 1


def test_all_tasks_are_read_again_only_after_label_studio_counted_anew(
    make_context, journal, clock
):
    # An annotation was deleted after it counted.
    context = make_context(25)
    context.client.change(7, seconds=1, label="dog")
    read_all(context)
    clock[0] += 700
    looked_at(journal, clock, annotations=1)
    context.client.change(7, seconds=2)
    look(context)
    clock[0] += 100
    context.client.pages.clear()
    look(context)
    looked_at(journal, clock, annotations=0)
    look(context)
    assert context.client.pages == []
    assert journal.tasks.reading(KEY).lacking_since == 0.0


def test_all_tasks_are_not_read_again_and_again_where_that_does_not_help(
    make_context, journal, clock
):
    context = make_context(25)
    read_all(context)
    clock[0] += 700
    for _ in range(20):
        looked_at(journal, clock, annotations=3)
        read_all(context)
        clock[0] += 60
    assert len(context.client.pages) == 3 + 2 * 3


def test_reading_settles_when_the_clock_was_set_back(make_context, journal, clock):
    context = make_context(5)
    read_all(context)
    clock[0] += 60
    context.client.change(3, seconds=30, label="cat")
    look(context)
    clock[0] -= 3600
    look(context)
    look(context)
    since = context.client.asked_since
    assert since[-1] - since[-2] == sync.OVERLAP
