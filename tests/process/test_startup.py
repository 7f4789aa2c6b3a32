"""What the processes open at start."""

from __future__ import annotations

import stat

import pytest

from backend.errors import StoreError
from backend.process.startup import open_journal
from backend.process.worker_lock import lock_worker
from backend.settings import Settings


def test_lock_worker_refuses_a_second_worker_and_is_free_again_after_the_first(tmp_path):
    settings = Settings(model_dir=tmp_path)
    with lock_worker(settings), pytest.raises(StoreError, match="another worker works in"):
        lock_worker(settings)
    lock_worker(settings).close()


def test_open_journal_keeps_its_folder_to_the_owner(tmp_path):
    open_journal(Settings(model_dir=tmp_path)).close()
    folder = tmp_path / "localhost_8080"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
