"""Which number a round gets, and a round that the journal lost; Label Studio is imitated."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from backend.label_studio.label_config import ImageChoices
from backend.loop import due, opening
from backend.loop.context import ProjectContext, WorkerContext
from backend.loop.due import Standing
from backend.loop.lost import lost_round
from backend.settings import Settings
from model_store.checkpoints import save_checkpoint
from model_store.journal import Journal
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, write_ranking
from tests.states import CLASSES, KEY, queued_task, round_state

CONFIG = ImageChoices("label", "image", "image", tuple(CLASSES))
STANDING = Standing(
    labeled=23,
    pool=9,
    unreadable=0,
    embedded=32,
    tuning=0,
    waiting=0,
    is_whole=True,
    is_ranked=True,
    classes=CLASSES,
    budget=4,
    lookahead=1.0,
    label_changes=30,
    training_requested=False,
    requested_round=-1,
)


class ImitatedLabelStudio:
    """One project and the versions of its predictions."""

    def __init__(self, model_version: str, versions: list[str]) -> None:
        self.model_version = model_version
        self.versions = versions

    def project(self, _project_id: int) -> Any:
        return SimpleNamespace(model_version=self.model_version)

    def prediction_versions(self, _project_id: int) -> list[str]:
        return self.versions


@pytest.fixture
def journal(tmp_path) -> Journal:
    journal = Journal.in_folder(tmp_path, clock=lambda: 1000.0)
    journal.note_changed(KEY)
    return journal


@pytest.fixture
def context(journal, tmp_path) -> ProjectContext:
    """A project whose queue follows round 7 of 20 labels, in Label Studio and on disk."""
    nothing: Any = SimpleNamespace()
    worker = WorkerContext(Settings(model_dir=tmp_path), journal, nothing, nothing)
    label_studio: Any = ImitatedLabelStudio(
        "alfa-mix r7 · 20 labels",
        ["cat-model", "alfa-mix r7 · 20 labels", "alfa-mix r6 · 10 labels"],
    )
    folder = ProjectFolder(tmp_path / KEY)
    write_trained_ranking(folder)
    save_checkpoint(folder.checkpoints, "00007", {"head": torch.zeros(1)}, {"classes": CLASSES})
    return ProjectContext(worker, label_studio, nothing, folder, KEY, 12, CONFIG)


def write_trained_ranking(folder: ProjectFolder) -> None:
    labels, probabilities = np.zeros(9, np.int32), np.ones(9, np.float32)
    ranking = Ranking(np.arange(9), np.zeros(9, np.int64), labels, probabilities)
    write_ranking(folder.ranking_file(7), ranking)


def opened(context: ProjectContext, reason: str = due.LABELS) -> Any:
    project = context.journal.project(KEY)
    return opening.open_round(context, project, STANDING, reason)


def test_number_is_the_next_one_when_the_journal_knows_all(context, journal):
    journal.open_round(round_state(3))
    assert opened(context).number == 4


def test_number_is_beyond_label_studios_when_the_journal_is_a_new_one(context):
    assert opened(context).number == 8


def test_number_is_0_when_no_prediction_is_ours(context):
    context.client.versions = ["cat-model"]
    assert opened(context).number == 0


def test_number_is_beyond_label_studios_when_the_journal_went_back(context, journal):
    journal.open_round(round_state(3, statistics={opening.NEWEST_VERSION: 7}))
    state = opened(context)
    assert (state.number, state.model_version) == (8, "alfa-mix r8 · 23 labels")


def test_round_begins_anew_under_another_number_with_an_empty_queue(context, journal):
    state = round_state(3, "publish", n_labeled=12)
    journal.open_round(state)
    journal.add_to_queue(state, [queued_task(0)])
    again = opening.open_again(context, state)
    assert (again.number, again.phase) == (4, "select")
    assert again.model_version == "alfa-mix r4 · 12 labels"
    assert journal.latest_round(KEY) == again
    assert journal.queue(state) == journal.queue(again) == []


def test_first_round_is_the_one_that_label_studio_follows_when_the_journal_lost_it(
    context, journal
):
    state = opened(context, due.FIRST_ROUND)
    assert (state.number, state.phase) == (7, "recall")
    assert state.model_version == "alfa-mix r7 · 20 labels"
    assert (state.n_labeled, state.n_pool, state.checkpoint) == (20, 9, "00007.safetensors")
    assert journal.latest_round(KEY) == state


def test_round_that_follows_a_lost_one_is_due_by_the_labels_since(context):
    found = replace(lost_round(context, STANDING), phase="done")
    # Three of its 23 labels came since.
    assert due.round_due(replace(STANDING, budget=4), found) is None
    assert due.round_due(replace(STANDING, budget=3), found) == due.LABELS


def damage_ranking(context: ProjectContext) -> None:
    context.folder.ranking_file(7).write_bytes(b"PAR1")


def lose_ranking(context: ProjectContext) -> None:
    context.folder.ranking_file(7).unlink()


def lose_checkpoint(context: ProjectContext) -> None:
    (context.folder.checkpoints / "00007.safetensors").unlink()


def change_classes(context: ProjectContext) -> None:
    save_checkpoint(context.folder.checkpoints, "00007", {}, {"classes": ["cat", "cow"]})


def follow_another(context: ProjectContext) -> None:
    context.client.model_version = "My backend"


@pytest.mark.parametrize(
    "spoil", [damage_ranking, lose_ranking, lose_checkpoint, change_classes, follow_another]
)
def test_lost_round_stays_lost_when_it_cannot_go_on(context, spoil):
    spoil(context)
    assert lost_round(context, STANDING) is None
    assert opened(context, due.FIRST_ROUND).number == 8
