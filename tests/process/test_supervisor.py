"""What `serve` does when one of its processes ends; the processes here are small imitations."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import StoreError
from backend.process.backoff import Backoff
from backend.process.startup import folder_of, open_journal
from backend.process.supervised import Supervised
from backend.process.supervisor import EXIT_CONFIG, EXIT_DAMAGED, Supervisor, prepare
from backend.process.troubles import Troubles
from backend.process.worker_lock import WorkerLock
from backend.settings import Settings
from model_store.journal_file import copy_journal
from tests.model_store.damage import flip_pages, settle
from tests.process.processes import WAIT_S, wait_for, with_variable
from tests.states import KEY

STAYS = "import time; time.sleep(600)"
MARK = "ALFA_MIX_SUPERVISED"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path)


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A variable that only the processes of this test have in their environment."""
    monkeypatch.setenv(MARK, str(tmp_path))
    return f"{MARK}={tmp_path}"


@pytest.fixture
def supervise(settings: Settings, mark: str) -> Iterator[Callable[..., Supervisor]]:
    """Makes supervisors of imitated processes, each one line of Python; they end with the test."""
    made = []

    def make(
        worker: str = STAYS, web: str = STAYS, is_settled: bool = False
    ) -> tuple[Supervisor, Supervised, Supervised]:
        pair = [
            Supervised(name, [sys.executable, "-c", line], lambda _ran_s: is_settled)
            for name, line in (("worker", worker), ("web process", web))
        ]
        made.append(Supervisor(settings, *pair))
        return made[-1], *pair

    yield make
    for supervisor in made:
        supervisor.end()


def look_until(supervisor: Supervisor, found: Callable[[], object]) -> int | None:
    """Look again and again until `found`, or until there is no use in going on."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        status = supervisor.look()
        if status is not None or found():
            return status
        time.sleep(0.02)
    pytest.fail("waited in vain")


def commands(mark: str, line: str) -> list[int]:
    """The processes that run a line of Python, without their leashes."""
    found = with_variable(mark).items()
    return [pid for pid, command in found if line in command and "leash" not in command]


def counting(file: Path, status: int) -> str:
    """A process that ends at once and leaves a sign that it was there."""
    return f"open({str(file)!r}, 'a').write('x'); raise SystemExit({status})"


def times(file: Path) -> int:
    return len(file.read_text()) if file.exists() else 0


def test_backoff_doubles_up_to_its_last_wait_and_begins_anew():
    backoff = Backoff(1.0, 60.0)
    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.succeeded()
    assert backoff.failed() == 1


@pytest.mark.parametrize(("is_settled", "expected"), [(False, [1, 2, 4]), (True, [1, 1, 1])])
def test_wait_doubles_until_a_process_settles(is_settled, expected):
    process = Supervised("worker", [sys.executable, "-c", ""], lambda _ran_s: is_settled)
    waits = []
    for _ in expected:
        process.start()
        wait_for("it to end", lambda: process.ended() == 0)
        waits.append(process.wait())
    assert waits == expected
    assert not process.is_due


@pytest.mark.parametrize("name", ["worker", "web"])
def test_process_is_started_again_when_it_is_killed(supervise, mark, name):
    lines = {"worker": STAYS + "  # worker", "web": STAYS + "  # web"}
    supervisor, *_ = supervise(**lines)
    look_until(supervisor, lambda: commands(mark, lines[name]))
    (first,) = commands(mark, lines[name])
    os.kill(first, signal.SIGKILL)
    status = look_until(supervisor, lambda: set(commands(mark, lines[name])) - {first})
    assert status is None


def test_processes_end_when_the_leash_of_one_is_killed_and_both_run_again(supervise, mark):
    worker = STAYS + "  # worker"
    supervisor, *_ = supervise(worker=worker)
    look_until(supervisor, lambda: commands(mark, worker))
    (first,) = commands(mark, worker)
    (leash,) = [
        pid for pid, line in with_variable(mark).items() if worker in line and "leash" in line
    ]
    os.kill(leash, signal.SIGKILL)
    wait_for("the orphan to end", lambda: first not in commands(mark, worker))
    assert look_until(supervisor, lambda: commands(mark, worker)) is None


def test_status_says_so_when_the_worker_ends_again_and_again(supervise, settings, tmp_path):
    supervisor, worker, _web = supervise(worker=counting(tmp_path / "runs", 3))
    troubles = Troubles(folder_of(settings))
    prepare(settings)
    look_until(supervisor, lambda: worker.failures == 1)
    assert troubles.sentences() == []
    look_until(supervisor, lambda: worker.failures == 2)
    assert troubles.sentences() == [
        "the worker ended with status 3, 2 times before it settled; it is started again in 2 s"
    ]


def test_supervisor_gives_up_when_no_restart_of_the_worker_can_help(supervise):
    supervisor, *_ = supervise(worker=f"raise SystemExit({EXIT_CONFIG})")
    assert look_until(supervisor, lambda: False) == EXIT_CONFIG


def test_supervisor_gives_up_when_the_web_process_cannot_start(supervise):
    supervisor, *_ = supervise(web="raise SystemExit(1)")
    assert look_until(supervisor, lambda: False) == 1


def test_web_process_is_started_again_when_it_fails_later(supervise, tmp_path):
    supervisor, *_ = supervise(web=counting(tmp_path / "runs", 1), is_settled=True)
    assert look_until(supervisor, lambda: times(tmp_path / "runs") >= 2) is None


def test_journal_goes_back_to_its_copy_while_nobody_has_it_open(
    supervise, settings, mark, tmp_path
):
    with closing(open_journal(settings)) as journal:
        journal.note_changed(KEY)
    folder = folder_of(settings)
    copy_journal(folder)
    settle(folder / "journal.sqlite")
    flip_pages(folder / "journal.sqlite")
    runs = tmp_path / "runs"
    # The worker finds the damage once, then it works.
    worker = f"import os, sys; open({str(runs)!r}, 'a').write('x'); " + (
        f"sys.exit({EXIT_DAMAGED}) if os.path.getsize({str(runs)!r}) == 1 else None; " + STAYS
    )
    web = STAYS + "  # web"
    supervisor, *_ = supervise(worker=worker, web=web)
    look_until(supervisor, lambda: commands(mark, web))
    before = commands(mark, web)
    status = look_until(supervisor, lambda: times(runs) == 2 and commands(mark, web))
    assert status is None
    assert commands(mark, web) != before
    with closing(open_journal(settings)) as journal:
        assert [state.key for state in journal.projects()] == [KEY]


def test_prepare_says_that_another_worker_is_at_work(settings, monkeypatch):
    monkeypatch.setattr("backend.process.supervisor.ENDING_S", 0.1)
    with closing(WorkerLock(settings)), pytest.raises(StoreError, match="another worker works in"):
        prepare(settings)
    prepare(settings)
