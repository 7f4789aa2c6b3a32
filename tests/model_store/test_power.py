"""What journal and files hold after the power of the disk was cut: all that was promised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import torch

from backend.errors import DemoError
from backend.harness.disk import Disk, disk
from model_store import phases
from model_store.checkpoints import load_checkpoint, save_checkpoint
from model_store.files import read_json, write_json
from model_store.journal import Journal
from tests.states import KEY, round_state

MIB = 16


@pytest.fixture
def power(tmp_path: Path) -> Iterator[Disk]:
    """A disk whose power can be cut; skips where nobody may make one."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(disk(tmp_path, MIB))
        except DemoError as error:
            pytest.skip(str(error))
        yield found


def test_what_was_not_synced_is_gone(power: Disk):
    (power.path / "file").write_text("not synced")
    power.go_back(power.photograph())
    assert not (power.path / "file").exists()


def test_journal_knows_every_commit(power: Disk):
    with closing(Journal.in_folder(power.path)) as journal:
        journal.note_changed(KEY)
        state = round_state(0, phases.SELECT)
        journal.open_round(state)
        journal.update_round(state, phase=phases.PUBLISH)
        copy = power.photograph()
    power.go_back(copy)
    with closing(Journal.in_folder(power.path)) as journal:
        found = journal.latest_round(KEY)
        assert found is not None
        assert found.phase == phases.PUBLISH


def test_files_are_whole_or_as_they_were(power: Disk):
    folder = power.path / "a" / "new folder"
    write_json(folder / "kept.json", [1])
    write_json(folder / "kept.json", [2])
    weights = {"head.weight": torch.arange(6.0).reshape(2, 3)}
    path = save_checkpoint(folder, "00001", weights, {"classes": ["a", "b"]})
    power.go_back(power.photograph())
    assert read_json(folder / "kept.json") == [2]
    assert load_checkpoint(path).tensors["head.weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
