"""What the processes open at start."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from backend.errors import StoreError
from backend.harness.child import free_port
from backend.process.health import Health
from backend.process.startup import folder_of, machine_folder, open_journal
from backend.process.supervisor import prepare
from backend.process.troubles import Troubles
from backend.process.worker_lock import WorkerLock, settled_at
from backend.settings import Settings


def test_lock_refuses_a_second_worker_and_is_free_again_after_the_first(tmp_path):
    settings = Settings(model_dir=tmp_path)
    with closing(WorkerLock(settings)), pytest.raises(StoreError, match="another worker works in"):
        WorkerLock(settings)
    WorkerLock(settings).close()


def test_worker_is_settled_when_it_noted_so(tmp_path):
    settings = Settings(model_dir=tmp_path)
    assert settled_at(settings) == 0
    with closing(WorkerLock(settings)) as lock:
        before = settled_at(settings)
        lock.note_settled()
        assert settled_at(settings) > before


@pytest.mark.parametrize("begin", [open_journal, WorkerLock])
def test_folder_is_its_owners_alone_whoever_makes_it(tmp_path, begin):
    begin(Settings(model_dir=tmp_path)).close()
    assert stat.S_IMODE((tmp_path / "localhost_8080").stat().st_mode) == 0o700


def shared(folder: Path, url: str, port: int) -> Settings:
    """A backend among those that share a folder and a database."""
    return Settings(model_dir=folder, database_url=url, port=port)


@pytest.mark.postgresql
def test_backends_that_share_a_folder_have_a_worker_each(tmp_path, database_url):
    one, two = (shared(tmp_path, database_url, port) for port in (9001, 9002))
    with closing(WorkerLock(one)), closing(WorkerLock(two)) as lock:
        before = settled_at(one)
        lock.note_settled()
        assert settled_at(one) == before


@pytest.mark.postgresql
def test_backends_that_share_a_folder_have_one_journal(tmp_path, database_url):
    one, two = (shared(tmp_path, database_url, port) for port in (9001, 9002))
    with closing(open_journal(one)) as here, closing(open_journal(two)) as there:
        assert here.instance() == there.instance()
        assert not here.is_embedded
    assert not (folder_of(one) / "journal.sqlite").exists()


@pytest.mark.postgresql
def test_trouble_of_one_backend_is_not_that_of_another(tmp_path, database_url):
    one, two = (shared(tmp_path, database_url, port) for port in (9001, 9002))
    prepare(one)
    Troubles(machine_folder(one)).note("queues", "no space is left")
    prepare(two)
    with closing(open_journal(one)) as journal:
        assert Health(one, journal).troubles() == ["no space is left"]
        assert Health(two, journal).troubles() == []


def test_prepare_says_that_postgresql_does_not_answer(tmp_path):
    nobody = f"postgresql+psycopg://me:secret@127.0.0.1:{free_port()}/journal"
    with pytest.raises(StoreError, match="Connection refused") as caught:
        prepare(shared(tmp_path, nobody, 9001))
    assert "secret" not in str(caught.value)
