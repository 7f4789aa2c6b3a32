"""A worker's share of the projects, and what it may still write of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.errors import AlfaMixError, LeaseLostError
from backend.label_studio.access import Access
from backend.loop import holdings
from backend.loop.context import WorkerContext
from backend.loop.holdings import All, Share
from backend.loop.worker import RECONCILE, TUNE, Worker
from backend.settings import Settings
from model_store.journal import Journal
from model_store.leases import LEASE_S, Lease
from tests.model_store.conftest import execute
from tests.states import round_state

shared = pytest.mark.postgresql
KEYS = [f"{number}.1700000000" for number in range(1, 5)]


def context_of(journal: Journal, folder: Path) -> WorkerContext:
    """What a worker that asks for neither images nor Label Studio works with."""
    nothing: Any = SimpleNamespace()
    access = Access("http://127.0.0.1:1", "a" * 40)
    settings = Settings(model_dir=folder, database_url="postgresql://unused")
    return WorkerContext(settings, journal, session=nothing, access=access)


def test_one_worker_of_a_model_dir_holds_all(tmp_path):
    context = context_of(Journal.in_folder(tmp_path), tmp_path)
    alone = All(context)
    assert alone.holds("any")
    assert alone.context("any") is context
    alone.context("any").confirm()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of this machine forward; the database's goes on as it does."""
    now = [1000.0]
    monkeypatch.setattr(holdings, "now", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


@pytest.fixture
def journal(database_url: str) -> Iterator[Journal]:
    with closing(Journal(database_url)) as journal:
        for key in KEYS[:2]:
            journal.note_changed(key)
        yield journal


@dataclass
class Machine:
    """A worker as the others see it, and the projects that it was told of."""

    share: Share
    told: list[str] = field(default_factory=list)

    def has(self) -> list[str]:
        """The projects that it works on."""
        return [key for key in KEYS if self.share.holds(key)]


@pytest.fixture
def machine(journal: Journal, clock, tmp_path: Path) -> Callable[[str], Machine]:
    """Makes workers by their names."""

    def make(name: str) -> Machine:
        told: list[str] = []
        context = context_of(journal, tmp_path)
        return Machine(Share(context, journal.leases(name), told.append), told)

    return make


def tend(*machines: Machine, times: int = 2) -> None:
    """Let workers look after their shares in turn."""
    for _ in range(times):
        for machine in machines:
            machine.share.tend()


@shared
def test_worker_that_is_alone_takes_all(machine):
    one = machine("one")
    tend(one)
    assert one.has() == one.told == KEYS[:2]


@shared
def test_two_workers_have_a_project_each(machine):
    one, two = machine("one"), machine("two")
    tend(one)
    tend(two, one)
    assert sorted(one.has() + two.has()) == KEYS[:2]
    assert len(one.has()) == len(two.has()) == 1


@shared
def test_shares_differ_by_one_at_most_and_stay_as_they_are(machine, journal):
    for key in KEYS[2:3]:
        journal.note_changed(key)
    one, two = machine("one"), machine("two")
    tend(one, two)
    found = one.has(), two.has()
    assert sorted(map(len, found)) == [1, 2]
    tend(one, two, times=5)
    assert (one.has(), two.has()) == found


@shared
def test_new_project_is_taken_by_who_has_room(machine, journal):
    one, two = machine("one"), machine("two")
    tend(one, two)
    journal.note_changed(KEYS[2])
    tend(one, two)
    journal.note_changed(KEYS[3])
    tend(one, two)
    assert len(one.has()) == len(two.has()) == 2


@shared
def test_project_that_is_worked_on_is_kept_when_another_worker_comes(machine):
    one, two = machine("one"), machine("two")
    tend(one)
    with one.share.at_work(KEYS[0]), one.share.at_work(KEYS[1]):
        tend(two, one)
        assert (one.has(), two.has()) == (KEYS[:2], [])
    with one.share.at_work(KEYS[0]):
        tend(two, one)
    assert (one.has(), two.has()) == (KEYS[:1], KEYS[1:2])


@shared
def test_disconnected_project_is_given_back_once_nothing_is_left_to_do(machine, journal, clock):
    one = machine("one")
    tend(one)
    journal.update_project(KEYS[0], connected=False, seen=1)
    journal.update_project(KEYS[1], connected=True, seen=1)
    tend(one)
    clock(LEASE_S)
    tend(one)
    assert one.has() == KEYS[1:2]
    assert one.told == KEYS[:2]
    journal.note_changed(KEYS[0])
    tend(one)
    assert one.has() == KEYS[:2]


@shared
def test_worker_that_vanished_is_taken_over_when_its_leases_ran_out(machine, database_url):
    one, two = machine("one"), machine("two")
    tend(one, two)
    mine = one.has()
    execute(database_url, "UPDATE lease SET expires_at = 0 WHERE holder = 'one'")
    execute(database_url, "UPDATE worker SET expires_at = 0 WHERE holder = 'one'")
    tend(two)
    assert two.has() == KEYS[:2]
    # It comes back late, with what it had in its hands.
    late = one.share.context(mine[0])
    with pytest.raises(LeaseLostError, match="another worker took it over"):
        late.journal.set_error(mine[0], "late")


@shared
def test_late_worker_learns_that_it_is_late_and_has_its_share_again(
    machine, database_url, clock, journal
):
    one, two = machine("one"), machine("two")
    tend(one)
    execute(database_url, "UPDATE lease SET expires_at = 0")
    execute(database_url, "UPDATE worker SET expires_at = 0")
    tend(two)
    clock(LEASE_S)
    one.share.tend()
    assert one.has() == []
    tend(two, one)
    assert len(one.has()) == len(two.has()) == 1
    one.share.context(one.has()[0]).journal.set_error(one.has()[0], "mine")


@shared
def test_nothing_is_confirmed_once_the_machine_stood_still(machine, clock):
    one = machine("one")
    tend(one)
    context = one.share.context(KEYS[0])
    clock(LEASE_S - holdings.MARGIN_S - 0.1)
    context.confirm()
    clock(0.1)
    with pytest.raises(LeaseLostError):
        context.confirm()
    with pytest.raises(LeaseLostError):
        context.access.client("").update_project(1, model_version="late")
    one.share.tend()  # nobody took it: it goes on
    context.confirm()


@shared
def test_only_what_changes_something_asks_whether_it_may(machine, clock):
    one = machine("one")
    tend(one)
    client = one.share.context(KEYS[0]).access.client("")
    clock(LEASE_S)
    for write in (
        lambda: client.update_project(1, model_version="late"),
        lambda: client.create_prediction(
            1, result=[], score=0.0, cluster=0, model_version="alfa-mix r0 · 0 labels"
        ),
        lambda: client.delete_prediction(1),
        lambda: client.create_webhook(1, "http://b/webhook", {}),
        lambda: client.update_webhook(1, "http://b/webhook", {}),
        lambda: client.delete_webhook(1),
        lambda: client.create_tab(1, {}),
        lambda: client.delete_tab(1),
    ):
        with pytest.raises(LeaseLostError):
            write()
    with pytest.raises(AlfaMixError, match="does not answer"):
        client.project(1)


@shared
def test_lease_whose_answer_was_lost_is_not_forgotten(machine, journal, clock):
    one = machine("one")
    # The database took it; the answer never came.
    assert journal.leases("one").take(KEYS[0]) == Lease(KEYS[0], "one", 1)
    one.share.tend()
    assert one.has() == KEYS[:2]
    assert one.told[0] == KEYS[0]


@shared
def test_what_is_given_back_at_the_end_others_take_at_once(machine):
    one, two = machine("one"), machine("two")
    tend(one)
    one.share.close()
    assert one.has() == []
    tend(two)
    assert two.has() == KEYS[:2]


@shared
def test_leases_are_renewed_four_times_before_they_run_out(machine, clock, monkeypatch):
    one, asked = machine("one"), []
    renew = one.share._leases.renew
    monkeypatch.setattr(one.share._leases, "renew", lambda: asked.append(1) or renew())
    for _ in range(math.ceil(LEASE_S)):
        one.share.tend()
        clock(1.0)
    assert len(asked) == 4


@pytest.fixture
def worker(journal: Journal, clock, tmp_path: Path) -> Worker:
    """A worker that holds both projects."""
    worker = Worker(context_of(journal, tmp_path))
    worker._holdings.tend()
    for key in KEYS[:2]:
        journal.update_project(key, connected=True)
    return worker


@shared
@pytest.mark.parametrize("event", [RECONCILE, TUNE])
def test_piece_of_work_is_dropped_without_a_word_when_the_project_is_taken_over(
    worker, journal, database_url, monkeypatch, event
):
    def fit(self: Any, *_arguments: Any) -> dict[str, Any]:
        execute(database_url, "UPDATE lease SET expires_at = 0")
        assert journal.leases("two").take(KEYS[0]) is not None
        raise AlfaMixError("and something went wrong as well")

    monkeypatch.setattr(worker._model_class, "fit", fit)
    state = journal.project(KEYS[0])
    assert not (worker.work_on if event == RECONCILE else worker.compute_for)(state)
    assert journal.project(KEYS[0]) == state


@shared
def test_worker_works_on_what_it_holds_only(worker, journal, monkeypatch):
    journal.note_changed(KEYS[2])  # nobody has it yet
    worked: list[str] = []
    monkeypatch.setattr(worker, "work_on", lambda state: worked.append(state.key))
    worker._keep_queues()
    assert worked == KEYS[:2]
    worker._holdings.tend()
    worker._keep_queues()
    assert worked[2:] == KEYS[:3]


@shared
def test_project_that_is_taken_over_is_looked_at_as_if_for_the_first_time(worker, journal):
    key = KEYS[0]
    state = journal.project(key)
    worker._awake.clear()
    worker._looked[key] = (worker._look(state), math.inf)
    worker._background_retries.failed(state, math.inf)
    worker._queue_retries.failed(state, math.inf)
    journal.update_project(key, seen=state.changed, checked_at=journal.now())
    assert not worker._needs_work(journal.project(key))
    assert not worker._needs_computing(journal.project(key))
    worker._begin_with(key)
    assert worker._needs_work(journal.project(key))
    assert worker._needs_computing(journal.project(key))


@shared
def test_round_files_of_a_late_worker_carry_a_number_that_nobody_uses(machine, database_url):
    one, two = machine("one"), machine("two")
    tend(one)
    late = one.share.context(KEYS[0]).journal
    late.open_round(round_state(4, "select", key=KEYS[0]))
    execute(database_url, "UPDATE lease SET expires_at = 0")
    execute(database_url, "UPDATE worker SET expires_at = 0")
    tend(two)
    assert two.share.context(KEYS[0]).journal.latest_round(KEYS[0]).number == 5
