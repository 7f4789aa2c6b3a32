"""From an earlier release's tables to today's: an old MODEL_DIR goes on."""

import threading

import pytest
import sqlalchemy as sa

from backend.errors import StoreError
from model_store.audits import Draw, MeasuredRound
from model_store.journal import Journal, url_of
from model_store.schema import LAYOUT, metadata
from model_store.task_mirror import Reading
from tests.model_store.conftest import execute
from tests.states import KEY, mirrored_task, round_state, tuning_state

# What release 0.1 wrote: copied from a journal.sqlite that it made (`sqlite3 FILE .schema`).
LAYOUT_1 = """
CREATE TABLE project (
    "key" TEXT NOT NULL, project_id INTEGER NOT NULL, title TEXT NOT NULL,
    label_config TEXT NOT NULL, backend_url TEXT NOT NULL, access_token TEXT NOT NULL,
    hostname TEXT NOT NULL, connected BOOLEAN NOT NULL, changed INTEGER NOT NULL,
    seen INTEGER NOT NULL, training_requested INTEGER NOT NULL, checked_at FLOAT NOT NULL,
    phase TEXT NOT NULL, phase_done INTEGER NOT NULL, phase_total INTEGER NOT NULL,
    phase_started_at FLOAT NOT NULL, labeled INTEGER NOT NULL, skipped INTEGER NOT NULL,
    pool INTEGER NOT NULL, counters TEXT NOT NULL, previous_sampling TEXT, webhook_id INTEGER,
    last_error TEXT, last_error_at FLOAT, batch_progress_at FLOAT NOT NULL, PRIMARY KEY ("key")
);
CREATE TABLE round (
    "key" TEXT NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL, strategy TEXT NOT NULL,
    settings JSON NOT NULL, classes JSON NOT NULL, n_labeled INTEGER NOT NULL,
    n_pool INTEGER NOT NULL, model_version TEXT NOT NULL, checkpoint TEXT, features_version TEXT,
    statistics JSON NOT NULL, seconds JSON NOT NULL, started_at FLOAT NOT NULL, finished_at FLOAT,
    PRIMARY KEY ("key", number)
);
CREATE TABLE batch (
    "key" TEXT NOT NULL, number INTEGER NOT NULL, rank INTEGER NOT NULL, task_id INTEGER NOT NULL,
    cluster INTEGER NOT NULL, score FLOAT NOT NULL, is_reserve BOOLEAN NOT NULL, class_name TEXT,
    probability FLOAT, prediction_id INTEGER, PRIMARY KEY ("key", number, rank)
);
CREATE INDEX ix_batch_task_id ON batch (task_id);
CREATE TABLE unreadable (
    "key" TEXT NOT NULL, task_id INTEGER NOT NULL, uri TEXT NOT NULL, reason TEXT NOT NULL,
    tried_at FLOAT NOT NULL, PRIMARY KEY ("key", task_id)
);
"""


PROJECT_1 = {
    **{"key": KEY, "project_id": 12, "title": "t", "label_config": "<View/>"},
    **{"backend_url": "http://b", "access_token": "tok", "hostname": "http://ls"},
    **{"connected": True, "changed": 9, "seen": 8, "training_requested": 0, "checked_at": 5.0},
    **{"phase": "train", "phase_done": 1, "phase_total": 60, "phase_started_at": 4.0},
    **{"labeled": 40, "skipped": 0, "pool": 60, "counters": "100/40/40/0"},
    **{"previous_sampling": "Sequential sampling", "webhook_id": 3, "batch_progress_at": 4.0},
}
ROUND_1 = {
    **{"key": KEY, "strategy": "auto", "settings": "{}", "classes": '["cat", "dog"]'},
    **{"n_pool": 70, "statistics": "{}", "seconds": '{"train": 3.0}', "started_at": 1.0},
}
BATCH_1 = {
    **{"key": KEY, "number": 1, "rank": 0, "task_id": 7, "cluster": 100000, "score": 0.0},
    **{"is_reserve": False, "class_name": "cat", "probability": 0.5, "prediction_id": 77},
}


def insert(url, table, **values) -> None:
    """Insert a row as it is."""
    columns, names = ", ".join(values), ", ".join(f":{name}" for name in values)
    execute(url, f"INSERT INTO {table} ({columns}) VALUES ({names})", **values)


@pytest.fixture
def old(journal_url):
    """Where a project lies after two rounds, the third under way, as release 0.1 left it."""
    execute(journal_url, *LAYOUT_1.strip().removesuffix(";").split(";"))
    insert(journal_url, "project", **PROJECT_1)
    for number, phase, checkpoint in (
        (0, "done", None),
        (1, "done", "00001.st"),
        (2, "train", None),
    ):
        insert(
            journal_url,
            "round",
            number=number,
            phase=phase,
            checkpoint=checkpoint,
            n_labeled=20 * number,
            model_version=f"alfa-mix r{number} · {20 * number} labels",
            features_version=f"f{number}",
            finished_at=2.0 if phase == "done" else None,
            **ROUND_1,
        )
    insert(journal_url, "batch", **BATCH_1)
    return journal_url


def test_projects_rounds_and_queues_are_kept(old, open_journal):
    journal = open_journal()
    project = journal.project(KEY)
    assert (project.title, project.webhook_id, project.labeled) == ("t", 3, 40)
    assert (project.unembedded, project.users, project.background) == (None, 0, "")
    assert (project.own_settings, project.is_paused) == ({}, False)
    assert journal.published_round(KEY).model_version == "alfa-mix r1 · 20 labels"
    (task,) = journal.queue(journal.published_round(KEY))
    assert (task.task_id, task.prediction_id) == (7, 77)


def test_what_a_round_had_tuned_becomes_a_network_of_its_own(old, open_journal):
    journal = open_journal()
    tuning = journal.tunings.newest_done(KEY)
    assert (tuning.number, tuning.checkpoint, tuning.features_version) == (1, "00001.st", "f1")
    assert (tuning.n_labeled, list(tuning.classes)) == (20, ["cat", "dog"])
    assert journal.published_round(KEY).tuning == 1


def test_a_round_that_trained_begins_again_from_its_choice(old, open_journal):
    assert open_journal().latest_round(KEY).phase == "select"


def test_the_tables_are_those_of_a_new_journal(old, open_journal, tmp_path):
    open_journal()
    new = url_of(tmp_path / "new.sqlite")
    Journal(new).close()

    def columns(url):
        inspector = sa.inspect(sa.create_engine(url))
        return {
            table: {column["name"] for column in inspector.get_columns(table)}
            for table in metadata.tables
        }

    assert columns(old) == columns(new)


def test_prepare_does_nothing_to_todays_layout(old, open_journal):
    open_journal()
    again = open_journal()
    assert again.tunings.newest(KEY).number == 1
    assert again.latest_round(KEY).number == 2


def test_prepare_raises_when_a_later_release_wrote_the_journal(old, open_journal):
    open_journal()
    execute(old, "UPDATE layout SET number = 99")
    with pytest.raises(StoreError, match=rf"layout 99, this release knows layouts up to {LAYOUT}"):
        open_journal()


def test_two_processes_may_bring_a_journal_up_to_date_at_once(old, open_journal):
    failures = []

    def open_it():
        try:
            open_journal()
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert open_journal().tunings.newest(KEY).number == 1


# What layout 3 brought: without it, today's tables are those of layout 2.
SINCE_LAYOUT_3 = (
    ("project", "label_changes"),
    ("project", "annotations"),
    ("round", "label_changes"),
    ("tuning", "label_changes"),
    ("task", "annotations"),
    ("reading", "lacking_since"),
)


@pytest.fixture
def layout_2(journal_url, open_journal):
    """A project with two labels, of which its last round knew one and its network none."""
    journal = open_journal()
    journal.note_changed(KEY)
    journal.tasks.put(
        KEY,
        [mirrored_task(1, class_name="cat"), mirrored_task(2, class_name="dog"), mirrored_task(3)],
    )
    journal.tasks.set_reading(KEY, Reading("label", "2026-01-01T00:00:00Z", 5.0, 1, [1], 5.0))
    journal.open_round(round_state(4, n_labeled=1))
    journal.tunings.open(tuning_state(2, n_labeled=0))
    journal.close()
    indexes = [f"DROP INDEX {name}" for name in ("ix_task_annotated_at", "ix_task_image_key")]
    columns = [f'ALTER TABLE "{table}" DROP COLUMN {name}' for table, name in SINCE_LAYOUT_3]
    execute(journal_url, *indexes, *columns, "UPDATE layout SET number = 2")


def test_labels_that_were_new_under_layout_2_still_are(layout_2, open_journal):
    journal = open_journal()
    project, published = journal.project(KEY), journal.published_round(KEY)
    assert project.label_changes - published.label_changes == 1
    assert project.label_changes - journal.tunings.newest(KEY).label_changes == 2


def test_tasks_of_layout_2_are_kept_and_read_again(layout_2, open_journal):
    journal = open_journal()
    assert journal.tasks.ids(KEY) == [1, 2, 3]
    assert not journal.tasks.reading(KEY).is_whole


def test_draws_of_layout_5_are_measured_as_before(journal_url, open_journal):
    journal = open_journal()
    journal.note_changed(KEY)
    journal.tasks.put(KEY, [mirrored_task(1, class_name="cat"), mirrored_task(2, class_name="cat")])
    given = {1: {"cat": 0.75, "dog": 0.25}, 2: {"cat": 0.25, "dog": 0.75}}
    journal.audits.note(KEY, 3, [Draw(task_id, 20, 0.1, given[task_id]) for task_id in given])
    journal.close()
    execute(
        journal_url,
        "ALTER TABLE audit DROP COLUMN predicted",
        "UPDATE layout SET number = 5",
    )
    assert open_journal().audits.measured_rounds(KEY) == [MeasuredRound(3, 20, right=1, total=2)]
