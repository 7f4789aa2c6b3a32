"""What the processes open at start."""

from __future__ import annotations

import stat
from contextlib import closing

import pytest

from backend.errors import StoreError
from backend.process.startup import open_journal
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
