"""In which order a project is looked after; what is done in each step is imitated."""

from __future__ import annotations

import time

import pytest

from backend.errors import LabelStudioError
from backend.loop import connecting, reconcile, supply
from backend.loop.context import ProjectContext, WorkerContext
from backend.settings import Settings
from model_store.journal import Journal
from tests.states import KEY, round_state

LABEL_CONFIG = """
<View>
  <Image name="image" value="$image"/>
  <Choices name="label" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices>
</View>
"""
LOOK_IS_DUE_S = 40.0
OTHER_CONFIG = LABEL_CONFIG.replace("dog", "hound")


class ImitatedSteps:
    """Notes what is done; `trouble` is raised by the next advance, `config` is found by a look."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.done: list[str] = []
        self.trouble: Exception | None = None
        self.config = LABEL_CONFIG
        self.more = True

    def check(self, _worker, _state) -> bool:
        self.done.append("look")
        self.journal.update_project(KEY, label_config=self.config, checked_at=self.journal.now())
        return True

    def advance(self, _context, _state) -> bool:
        self.done.append("advance")
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        return self.more


@pytest.fixture
def journal(tmp_path) -> Journal:
    journal = Journal.in_folder(tmp_path)
    journal.note_changed(KEY)
    looked_at = journal.now() - LOOK_IS_DUE_S
    journal.update_project(
        KEY, connected=True, label_config=LABEL_CONFIG, checked_at=looked_at, last_error=None
    )
    journal.open_round(round_state(1, finished_at=1.0))
    return journal


@pytest.fixture
def imitated(journal, monkeypatch) -> ImitatedSteps:
    imitated = ImitatedSteps(journal)
    monkeypatch.setattr(connecting, "check", imitated.check)
    monkeypatch.setattr(connecting, "repair_queue", lambda context: None)
    monkeypatch.setattr(reconcile, "_advance", imitated.advance)
    monkeypatch.setattr(ProjectContext, "of", lambda worker, state: state)
    return imitated


@pytest.fixture
def worker(tmp_path, journal) -> WorkerContext:
    return WorkerContext(Settings(model_dir=tmp_path), journal, session=None, access=None)


def set_lasting(monkeypatch, lasts: bool) -> None:
    monkeypatch.setattr(supply, "lasts", lambda journal, key, waiting, seconds: lasts)


def test_queue_comes_before_a_look_at_the_connection(worker, imitated, monkeypatch):
    set_lasting(monkeypatch, True)
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "look"]


def test_a_look_at_the_connection_waits_when_the_queue_may_run_dry(worker, imitated, monkeypatch):
    set_lasting(monkeypatch, False)
    reconcile.reconcile(worker, KEY)
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "advance"]
    set_lasting(monkeypatch, True)
    reconcile.reconcile(worker, KEY)
    assert imitated.done[2:] == ["advance", "look"]


def test_a_look_at_the_connection_does_not_wait_when_the_whole_pool_is_in_the_queue(
    worker, imitated, monkeypatch
):
    set_lasting(monkeypatch, False)
    imitated.more = False
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "look"]


def test_a_look_at_the_connection_waits_no_longer_when_it_waited_long(
    worker, imitated, monkeypatch
):
    set_lasting(monkeypatch, False)
    worker.checks_put_off[KEY] = time.monotonic() - reconcile.LATEST_CHECK_S
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "look"]


def test_a_look_at_the_connection_waits_when_people_labeled_during_a_long_pass(
    worker, imitated, journal, monkeypatch
):
    set_lasting(monkeypatch, True)
    monkeypatch.setattr(reconcile, "LONG_PASS_S", 0.0)
    advance = imitated.advance

    def meanwhile_somebody_labels(context, state):
        journal.note_changed(KEY)
        return advance(context, state)

    monkeypatch.setattr(reconcile, "_advance", meanwhile_somebody_labels)
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance"]
    monkeypatch.setattr(reconcile, "_advance", advance)
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "advance", "look"]


def test_project_is_advanced_again_when_a_look_finds_another_label_config(
    worker, imitated, monkeypatch
):
    set_lasting(monkeypatch, True)
    imitated.config = OTHER_CONFIG
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "look", "advance"]


@pytest.mark.parametrize(
    "news",
    [
        {"checked_at": 0.0},  # Label Studio says that the project changed
        {"checked_at": 1.0},  # nobody looked for long: it may be another project
        {"last_error": "the round fails"},  # whatever failed, the look may end it
    ],
)
def test_a_look_comes_first_when_there_is_reason_to_doubt(
    worker, imitated, journal, monkeypatch, news
):
    set_lasting(monkeypatch, True)
    journal.update_project(KEY, **news)
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["look", "advance"]


def test_a_look_comes_first_when_the_queue_is_in_trouble(worker, imitated, journal, monkeypatch):
    set_lasting(monkeypatch, False)
    # The look waits for a queue that would run dry, but not where nothing can be done for it.
    imitated.trouble = LabelStudioError("the label config was edited")
    reconcile.reconcile(worker, KEY)
    assert imitated.done == ["advance", "look", "advance"]
    state = journal.project(KEY)
    assert state is not None
    assert state.last_error is None
