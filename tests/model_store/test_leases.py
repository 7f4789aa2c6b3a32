"""Who may write of a project where several workers share a PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backend.errors import JournalError, LeaseLostError
from model_store import phases, postgresql
from model_store.asked import Asked
from model_store.audits import Audits, Draw
from model_store.journal import Journal, UnreadableTask
from model_store.leases import LEASE_S, Lease
from model_store.overview import Overview
from model_store.schema import metadata
from model_store.task_mirror import Reading, TaskMirror
from model_store.tunings import Tunings
from tests.model_store.conftest import execute, held
from tests.states import KEY, mirrored_task, queued_task, round_state, tuning_state

pytestmark = pytest.mark.postgresql
OTHER = "13.1700000000"


@pytest.fixture
def journal_url(database_url: str) -> str:
    """Only where several machines may share it."""
    return database_url


@pytest.fixture
def journal(open_journal: Callable[..., Journal]) -> Journal:
    journal = open_journal()
    for key in (KEY, OTHER):
        journal.note_changed(key)
    return journal


@pytest.fixture
def run_out(journal_url: str) -> Callable[[], None]:
    """Lets all leases run out, as time does."""

    def run_out() -> None:
        execute(journal_url, "UPDATE lease SET expires_at = 0")

    return run_out


def test_nobody_takes_what_somebody_holds(journal):
    assert held(journal, KEY) == Lease(KEY, "one", 1)
    assert journal.leases("two").take(KEY) is None
    assert journal.leases("one").take(KEY) is None
    assert held(journal, OTHER, "two") == Lease(OTHER, "two", 1)
    assert journal.leases("three").taken() == {KEY, OTHER}


def test_token_grows_with_each_holder(journal, run_out):
    for number, holder in enumerate(("one", "two", "one"), 1):
        assert held(journal, KEY, holder) == Lease(KEY, holder, number)
        run_out()


def test_lease_ends_by_the_clock_of_the_database(journal, journal_url):
    held(journal, KEY)
    left = "SELECT expires_at - extract(epoch FROM clock_timestamp()) FROM lease"
    assert 0 < float(execute(journal_url, left)[0][0]) <= LEASE_S
    end = "UPDATE lease SET expires_at = extract(epoch FROM clock_timestamp()) + :left"
    execute(journal_url, end, left=5.0)
    assert journal.leases("two").take(KEY) is None
    execute(journal_url, end, left=-0.001)
    assert journal.leases("two").taken() == set()
    assert journal.leases("two").take(KEY) == Lease(KEY, "two", 2)


def test_renewed_is_all_that_nobody_took_even_where_it_ran_out(journal, journal_url, run_out):
    first, second = held(journal, KEY), held(journal, OTHER)
    run_out()
    assert sorted(journal.leases("one").renew(), key=lambda one: one.key) == [first, second]
    assert journal.leases("two").take(KEY) is None
    run_out()
    held(journal, KEY, "two")
    assert journal.leases("one").renew() == [second]
    assert execute(journal_url, "SELECT count(*) FROM lease WHERE expires_at > 0") == [(2,)]


def test_what_is_given_back_others_take_at_once(journal):
    for key in (KEY, OTHER):
        held(journal, key)
    journal.leases("one").give_back([KEY])
    assert journal.leases("one").renew() == [Lease(OTHER, "one", 1)]
    assert journal.leases("two").take(KEY) == Lease(KEY, "two", 2)
    assert journal.leases("two").take(OTHER) is None
    journal.leases("two").give_back([OTHER])  # another's
    assert journal.leases("two").take(OTHER) is None
    journal.leases("one").leave()
    assert journal.leases("two").take(OTHER) == Lease(OTHER, "two", 2)


def test_workers_are_counted_while_they_renew(journal, journal_url):
    one, two = journal.leases("one"), journal.leases("two")
    assert one.holders() == 1
    one.renew()
    assert (one.holders(), two.holders()) == (1, 1)
    two.renew()
    assert (one.holders(), two.holders()) == (2, 2)
    execute(journal_url, "UPDATE worker SET expires_at = 0 WHERE holder = 'two'")
    assert one.holders() == 1
    one.renew()
    assert execute(journal_url, "SELECT holder FROM worker") == [("one",)]
    two.renew()
    two.leave()
    assert one.holders() == 1


def test_one_of_many_who_try_at_once_takes_it(journal):
    found: list[Lease | None] = []
    start = threading.Barrier(8)

    def take(holder: str) -> None:
        start.wait()
        found.append(journal.leases(holder).take(KEY))

    threads = [threading.Thread(target=take, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.token for lease in found if lease is not None] == [1]


# Whatever writes, by name: each with the lease of who was overtaken, and nothing may change.
WRITES: dict[str, Callable[[Journal], Any]] = {
    "note_changed": lambda journal: journal.note_changed(KEY),
    "note_setup": lambda journal: journal.note_setup(KEY, backend_url="b", token="t", hostname="h"),
    "forget_unconfirmed": lambda journal: journal.forget_unconfirmed(journal.project(KEY)),
    "update_project": lambda journal: journal.update_project(KEY, title="late"),
    "set_phase": lambda journal: journal.set_phase(KEY, phases.SYNC),
    "set_background": lambda journal: journal.set_background(KEY, phases.TRAIN, 1, 2),
    "note_embedded": lambda journal: journal.note_embedded(KEY, 1, 2, known=None),
    "set_error": lambda journal: journal.set_error(KEY, "late"),
    "set_background_error": lambda journal: journal.set_background_error(KEY, "late"),
    "open_round": lambda journal: journal.open_round(round_state(9)),
    "update_round": lambda journal: journal.update_round(round_state(1), strategy="late"),
    "renumber_round": lambda journal: journal.renumber_round(round_state(1), 5),
    "add_to_queue": lambda journal: journal.add_to_queue(round_state(1), [queued_task(9)]),
    "move_in_queue": lambda journal: journal.move_in_queue(round_state(1), queued_task(-1, 100)),
    "note_prediction": lambda journal: journal.note_prediction(round_state(1), 100, 70),
    "note_put_off": lambda journal: journal.note_put_off(round_state(1), [100]),
    "note_gone": lambda journal: journal.note_gone(round_state(1), 100),
    "forget_predictions": lambda journal: journal.forget_predictions(round_state(1), [100]),
    "forget_queues_before": lambda journal: journal.forget_queues_before(round_state(2)),
    "ask_for_backtest": lambda journal: journal.ask_for_backtest(KEY),
    "note_unreadable": lambda journal: journal.note_unreadable(
        KEY, [UnreadableTask(7, "/7.png", "no image", 1.0)]
    ),
    "note_readable": lambda journal: journal.note_readable(KEY, [7]),
    "tasks.put": lambda journal: journal.tasks.put(KEY, [mirrored_task(9)]),
    "tasks.remove": lambda journal: journal.tasks.remove(KEY, [7]),
    "tasks.set_reading": lambda journal: journal.tasks.set_reading(KEY, Reading(page_count=2)),
    "tunings.open": lambda journal: journal.tunings.open(tuning_state(9)),
    "tunings.update": lambda journal: journal.tunings.update(tuning_state(1), n_labeled=9),
    "tunings.drop": lambda journal: journal.tunings.drop(tuning_state(1)),
    "audits.note": lambda journal: journal.audits.note(KEY, 1, []),
    "asked.first": lambda journal: journal.asked.first(KEY, [7]),
    "asked.take_back": lambda journal: journal.asked.take_back(KEY),
}
# What only reads, or is not of one project.
READS = {
    *("in_folder", "shared_by", "is_embedded", "leases", "under", "now", "close", "instance"),
    *("projects", "project", "key_of", "latest_round", "published_round", "trained_rounds"),
    *("model_version", "newest_round_for", "recent_round_s", "queue", "awaiting", "waiting_tasks"),
    *("queue_progress", "next_rank", "unreadable", "unreadable_in_pool"),
    *("tasks.reading", "tasks.ids", "tasks.open_ids", "tasks.open_among", "tasks.sources"),
    *("tasks.without_image", "tasks.counts", "tasks.pace", "tasks.newest_annotation"),
    *("tasks.columns", "tunings.newest", "tunings.newest_done", "tunings.get"),
    *("audits.of", "audits.among", "audits.count", "audits.measured_rounds", "audits.open_ids"),
    *("asked.open_places", "rounds", "round", "tasks.known_among"),
    *("overview.batch", "overview.class_counts", "overview.networks", "overview.source"),
    *("overview.classes_of", "overview.left_out", "overview.pool_images", "overview.kept"),
}


def test_whatever_writes_is_tried():
    methods = set()
    kinds = {"": Journal, "tasks.": TaskMirror, "tunings.": Tunings}
    kinds |= {"audits.": Audits, "asked.": Asked, "overview.": Overview}
    for prefix, kind in kinds.items():
        methods |= {prefix + name for name in vars(kind) if not name.startswith("_")}
    assert methods == READS | WRITES.keys()


@pytest.fixture
def overtaken(journal: Journal, run_out: Callable[[], None]) -> Journal:
    """A journal with a row in every table, as whoever was overtaken sees it."""
    lease = held(journal, KEY)
    mine = journal.under(lease)
    mine.open_round(round_state(1))
    mine.add_to_queue(round_state(1), [queued_task(0)])
    mine.tasks.put(KEY, [mirrored_task(7)])
    mine.tunings.open(tuning_state(1))
    mine.audits.note(KEY, 1, [Draw(7, 0, 0.1, {"cat": 1.0})])
    mine.asked.first(KEY, [8])
    run_out()
    held(journal, KEY, "two")
    return mine


def everything(url: str) -> dict[str, list[Any]]:
    """All rows of all tables."""
    return {
        table.name: sorted(map(repr, execute(url, f'SELECT * FROM "{table.name}"')))
        for table in metadata.sorted_tables
    }


def test_late_worker_writes_nothing_whatever_it_does(overtaken, journal_url):
    before = everything(journal_url)
    for name, write in WRITES.items():
        with pytest.raises(LeaseLostError, match="another worker took it over"):
            write(overtaken)
        assert everything(journal_url) == before, name


def test_late_worker_still_reads(overtaken):
    assert overtaken.latest_round(KEY).number == 1


def test_worker_that_was_late_but_not_overtaken_goes_on(journal, run_out):
    mine = journal.under(held(journal, KEY))
    run_out()
    mine.set_error(KEY, "mine")
    assert journal.project(KEY).last_error == "mine"


def test_nobody_overtakes_in_the_middle_of_a_transaction(journal, run_out):
    mine = journal.under(held(journal, KEY))
    run_out()
    with mine._database.transaction():
        assert journal.leases("two").take(KEY) is None
    assert journal.leases("two").take(KEY) is not None


def test_holders_transactions_go_on_side_by_side_unless_one_is_to_be_alone(journal):
    journal.upkeep.limit_waiting(0.1)
    mine = journal.under(held(journal, KEY))._database
    with mine.transaction(), mine.transaction():
        pass
    refused = pytest.raises(JournalError, match="locked")
    with refused, mine.transaction(alone=True), mine.transaction():
        pass


def test_holders_threads_take_turns_where_they_replace_rows(journal):
    # Each replaces the same tasks: as in a file, one after the other.
    mine = journal.under(held(journal, KEY))
    failures: list[Exception] = []

    def put(class_name: str) -> None:
        try:
            for _ in range(10):
                mine.tasks.put(KEY, [mirrored_task(n, class_name=class_name) for n in range(20)])
                mine.tasks.set_reading(KEY, Reading(page_count=3))
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=put, args=(name,)) for name in ("cat", "dog", "cat")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert mine.tasks.counts(KEY).labeled == 20


def test_process_that_stands_still_in_a_transaction_loses_it(
    open_journal, journal_url, monkeypatch
):
    monkeypatch.setattr(postgresql, "STALLED_MS", 50)
    stalled = open_journal()
    stalled.note_changed(KEY)
    lease = held(stalled, KEY)
    with pytest.raises(JournalError), stalled.under(lease)._database.transaction() as connection:
        execute(journal_url, "SELECT pg_sleep(0.5)")
        connection.exec_driver_sql("UPDATE project SET title = 'late'")
    assert stalled.project(KEY).title == ""


def test_round_that_was_choosing_has_another_number_for_its_next_holder(journal, run_out):
    mine = journal.under(held(journal, KEY))
    mine.open_round(round_state(3))
    mine.open_round(round_state(4, phases.SELECT, n_labeled=40))
    mine.open_round(round_state(4, phases.SELECT, key=OTHER))
    run_out()
    held(journal, KEY, "two")
    taken = journal.latest_round(KEY)
    assert (taken.number, taken.model_version) == (5, "alfa-mix r5 · 40 labels")
    assert journal.published_round(KEY).number == 3
    assert journal.latest_round(OTHER).number == 4


@pytest.mark.parametrize("phase", [phases.PUBLISH, phases.FLIP, phases.DONE])
def test_round_keeps_its_number_when_its_files_are_there(journal, run_out, phase):
    mine = journal.under(held(journal, KEY))
    opened = round_state(4, phase)
    mine.open_round(opened)
    run_out()
    held(journal, KEY, "two")
    assert journal.latest_round(KEY) == replace(opened, classes=["cat", "dog"])


def test_network_that_was_training_has_another_number_for_its_next_holder(journal, run_out):
    mine = journal.under(held(journal, KEY))
    mine.tunings.open(tuning_state(1))
    mine.tunings.open(tuning_state(2, phases.TRAIN))
    run_out()
    held(journal, KEY, "two")
    assert journal.tunings.newest(KEY) == tuning_state(3, phases.TRAIN)
    assert journal.tunings.newest_done(KEY).number == 1
    journal.tunings.update(tuning_state(3, phases.TRAIN), phase=phases.EMBED)
    run_out()
    held(journal, KEY, "three")
    assert journal.tunings.newest(KEY).number == 3
