"""A network behind the queue whose file cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.errors import StoreUnavailableError
from backend.loop.background import FAILING_S, Background
from backend.loop.context import ProjectContext, WorkerContext
from backend.settings import Settings
from model_store.checkpoints import save_checkpoint
from model_store.journal import Journal
from model_store.project_folder import ProjectFolder
from tests.states import KEY, tuning_state


@pytest.fixture
def context(tmp_path: Path) -> ProjectContext:
    """A project with one network; its session imitates one: it takes any checkpoint."""
    nothing: Any = SimpleNamespace()
    session: Any = SimpleNamespace(
        restore=lambda tensors, card: card["name"], pretrained=lambda: "pretrained"
    )
    journal = Journal.in_folder(tmp_path)
    worker = WorkerContext(Settings(model_dir=tmp_path), journal, session, access=nothing)
    folder = ProjectFolder(tmp_path / KEY)
    path = save_checkpoint(folder.checkpoints, "tuning-00001", {}, {"name": "tuned"})
    journal.tunings.open(tuning_state(1, checkpoint=path.name))
    return ProjectContext(worker, nothing, nothing, folder, KEY, 12, config=nothing)


@pytest.fixture
def checkpoint(context: ProjectContext) -> Path:
    """The network's file."""
    return context.folder.checkpoints / "tuning-00001.safetensors"


def fail(checkpoint: Path) -> Path:
    """Have each look at a file fail, for root as well (ELOOP); where the file is now."""
    aside = checkpoint.rename(checkpoint.with_suffix(".aside"))
    checkpoint.symlink_to(checkpoint)
    return aside


def test_network_is_kept_when_its_file_cannot_be_read_for_a_moment(context, checkpoint):
    now = [0.0]
    background = Background(lambda: False, clock=lambda: now[0])
    known = context.journal.tunings.newest_done(KEY)
    for _ in range(2):
        aside = fail(checkpoint)
        for seconds in (0, FAILING_S - 1):
            now[0] += seconds
            with pytest.raises(StoreUnavailableError):
                background._current(context)
        aside.replace(checkpoint)
        # What was read meanwhile counts: the next failure is another one.
        assert background._current(context) == (known, "tuned")


def test_network_is_trained_anew_when_its_file_cannot_be_read_for_long(context, checkpoint):
    now = [0.0]
    background = Background(lambda: False, clock=lambda: now[0])
    fail(checkpoint)
    with pytest.raises(StoreUnavailableError):
        background._current(context)
    now[0] = FAILING_S
    assert background._current(context) == (None, "pretrained")
    assert context.journal.tunings.newest(KEY) is None


@pytest.mark.parametrize(
    "lose",
    [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-8])],
    ids=["gone", "cut short"],
)
def test_network_is_trained_anew_at_once_when_its_file_is_lost(
    context: ProjectContext, checkpoint: Path, lose: Callable[[Path], Any]
):
    lose(checkpoint)
    assert Background(lambda: False)._current(context) == (None, "pretrained")
    assert context.journal.tunings.newest(KEY) is None
