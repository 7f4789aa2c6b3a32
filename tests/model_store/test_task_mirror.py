"""The mirror of Label Studio's tasks: counts, pace and what is lacking."""

import numpy as np
import pytest

from model_store import task_mirror
from model_store.journal import Journal
from model_store.task_mirror import Counts, Pace, Reading, TaskMirror
from tests.states import KEY, mirrored_task

OTHER = "13.1700000000"


@pytest.fixture
def journal(open_journal) -> Journal:
    journal = open_journal()
    journal.note_changed(KEY)
    return journal


@pytest.fixture
def mirror(journal) -> TaskMirror:
    return journal.tasks


def test_put_replaces_what_was_known(mirror):
    mirror.put(KEY, [mirrored_task(1), mirrored_task(2)])
    mirror.put(KEY, [mirrored_task(2, class_name="cat"), mirrored_task(3)])
    assert mirror.ids(KEY) == [1, 2, 3]
    assert mirror.columns(KEY)["class_name"] == [None, "cat", None]


def test_put_takes_more_tasks_than_one_statement(mirror, journal, monkeypatch):
    monkeypatch.setattr(task_mirror, "IDS_A_STATEMENT", 3)
    mirror.put(KEY, [mirrored_task(number) for number in range(10)])
    mirror.put(KEY, [mirrored_task(number, class_name="cat") for number in range(5, 12)])
    assert mirror.ids(KEY) == list(range(12))
    assert journal.project(KEY).label_changes == 7
    assert mirror.open_among(KEY, range(20)) == set(range(5))
    keys = [f"{number:032x}" for number in range(20)]
    assert sorted(mirror.sources(KEY, keys)) == keys[:12]


def test_every_label_that_comes_changes_or_goes_is_counted(mirror, journal):
    def changes_after(*tasks):
        mirror.put(KEY, tasks)
        return journal.project(KEY).label_changes

    assert changes_after(mirrored_task(1), mirrored_task(2)) == 0
    assert changes_after(mirrored_task(1, class_name="cat"), mirrored_task(2)) == 1
    assert changes_after(mirrored_task(1, class_name="cat")) == 1  # read again
    assert changes_after(mirrored_task(1, class_name="dog")) == 2  # corrected
    assert changes_after(mirrored_task(1)) == 3  # deleted
    assert changes_after(mirrored_task(3, class_name="dog")) == 4  # imported with its label
    mirror.remove(KEY, [2, 3])
    assert journal.project(KEY).label_changes == 5


def test_nobody_knows_how_many_embeddings_are_lacking_after_an_image_came(mirror, journal):
    def unembedded_after(task):
        journal.update_project(KEY, unembedded=7)
        mirror.put(KEY, [task])
        return journal.project(KEY).unembedded

    assert unembedded_after(mirrored_task(1)) is None
    assert unembedded_after(mirrored_task(1, class_name="cat")) == 7
    assert unembedded_after(mirrored_task(1, image_key="a" * 32)) is None
    assert unembedded_after(mirrored_task(2, uri=None, image_key=None, problem="none")) == 7


def test_projects_do_not_share_tasks(mirror):
    mirror.put(KEY, [mirrored_task(1)])
    mirror.put(OTHER, [mirrored_task(1, class_name="dog"), mirrored_task(2)])
    assert (mirror.ids(KEY), mirror.ids(OTHER)) == ([1], [1, 2])
    assert mirror.counts(KEY).labeled == 0


def test_counts_leave_tasks_without_an_image_out(mirror):
    mirror.put(
        KEY,
        [
            mirrored_task(1),
            mirrored_task(2, class_name="cat"),
            mirrored_task(3, is_skipped=True),
            mirrored_task(4, is_done=True),  # annotated, but with no class of the config
            mirrored_task(5, uri=None, image_key=None, problem="no image"),
            mirrored_task(6, uri=None, image_key=None, problem="no image", class_name="cat"),
        ],
    )
    assert mirror.counts(KEY) == Counts(tasks=6, labeled=1, pool=1, annotations=2)
    assert mirror.counts(OTHER) == Counts(0, 0, 0, 0)
    assert [task.task_id for task in mirror.without_image(KEY)] == [5, 6]


def test_remove_forgets_tasks_and_knows_no_others(mirror):
    mirror.put(KEY, [mirrored_task(number) for number in (1, 2, 3)])
    mirror.remove(KEY, [1, 7])
    assert mirror.ids(KEY) == [2, 3]


def test_pace_counts_labels_and_people_since_a_moment(mirror):
    notes = [(1, 10.0, 5), (2, 20.0, 5), (3, 30.0, 6)]
    mirror.put(
        KEY,
        [mirrored_task(4)]
        + [
            mirrored_task(n, class_name="cat", annotated_at=at, annotated_by=by)
            for n, at, by in notes
        ],
    )
    assert mirror.pace(KEY, since=20.0) == Pace(labels=2, annotators=2)
    assert mirror.newest_annotation(KEY) == 30.0
    assert mirror.newest_annotation(OTHER) is None


def test_open_ids_wait_for_a_label_in_the_order_of_their_digests(mirror):
    mirror.put(
        KEY,
        [
            mirrored_task(1, image_key="c" * 32),
            mirrored_task(2, image_key="a" * 32),
            mirrored_task(3, image_key="b" * 32, class_name="cat"),
            mirrored_task(4, image_key="b" * 32, is_skipped=True),
            mirrored_task(5, uri=None, image_key=None, problem="no image"),
        ],
    )
    assert mirror.open_ids(KEY) == [2, 1]


def test_sources_are_what_tasks_have_now(mirror):
    mirror.put(KEY, [mirrored_task(1), mirrored_task(2, image_key="a" * 32, uri="/a.png")])
    mirror.put(KEY, [mirrored_task(2, image_key="b" * 32, uri="/b.png"), mirrored_task(3)])
    assert mirror.sources(KEY, ["a" * 32, "b" * 32, f"{3:032x}"]) == {
        "b" * 32: ("/b.png", 2),
        f"{3:032x}": ("/data/upload/3.png", 3),
    }
    assert mirror.sources(OTHER, ["b" * 32]) == {}


def test_columns_are_the_tasks_with_an_image_by_id(mirror):
    mirror.put(
        KEY,
        [
            mirrored_task(9, class_name="dog"),
            mirrored_task(4, is_skipped=True),
            mirrored_task(6, uri=None, image_key=None, problem="no image"),
        ],
    )
    columns = mirror.columns(KEY)
    np.testing.assert_array_equal(columns["task_id"], [4, 9])
    np.testing.assert_array_equal(columns["is_skipped"], [True, False])
    assert columns["class_name"] == [None, "dog"]
    assert len(mirror.columns(OTHER)["task_id"]) == 0


def test_reading_is_whole_when_every_page_was_read(mirror):
    assert not mirror.reading(KEY).is_whole
    mirror.set_reading(KEY, Reading("config", "2026-01-01T00:00:00Z", 5.0, 2, [2]))
    assert not mirror.reading(KEY).is_whole
    mirror.set_reading(KEY, Reading("config", "2026-01-01T00:00:00Z", 5.0, 2, [2, 1], 9.0))
    assert mirror.reading(KEY).is_whole
    assert mirror.reading(KEY).compared_at == 9.0
