from __future__ import annotations

from pathlib import Path

import pytest
import torch

from backend.errors import PretrainingError, StoreError
from backend.pretraining.checkpoint import Progress, RunState, load, save

STATE = RunState("settings and images", Progress(1, 12, 6), {"student": {"w": torch.ones(2)}})


def test_load_returns_what_was_saved(tmp_path: Path) -> None:
    save(tmp_path / "run.pt", STATE)

    state = load(tmp_path / "run.pt", STATE.identity)

    assert state.progress == STATE.progress
    assert torch.equal(state.dino["student"]["w"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


def test_load_returns_none_when_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert load(tmp_path / "run.pt", "any") is None


def test_load_raises_when_the_run_is_another(tmp_path: Path) -> None:
    save(tmp_path / "run.pt", STATE)

    with pytest.raises(PretrainingError, match="other settings or other images"):
        load(tmp_path / "run.pt", "others")


@pytest.mark.parametrize("length", [0, 20, -30])
def test_load_raises_when_the_file_is_cut(tmp_path: Path, length: int) -> None:
    path = tmp_path / "run.pt"
    save(path, STATE)
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(PretrainingError, match=r"run\.pt"):
        load(path, STATE.identity)


def test_save_raises_and_keeps_the_old_checkpoint_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "run.pt", STATE)

    def fail(content: object, file: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(StoreError, match="No space left"):
        save(tmp_path / "run.pt", STATE)

    assert load(tmp_path / "run.pt", STATE.identity).progress == STATE.progress
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
