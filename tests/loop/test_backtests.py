"""A backtest that an admin asked for on a page: a process of its own, its results in the folder."""

from __future__ import annotations

import threading

import pytest

from backend.harness.annotate import choice
from backend.loop import backtests
from backend.loop.context import ProjectContext
from model_store import phases
from tests.loop.conftest import LABEL_CONFIG, colored_tasks, wait_for

pytestmark = pytest.mark.label_studio
LABELS = 102


@pytest.fixture
def asked_project(label_studio, inline, monkeypatch):
    """A project with labels, whose admin asked for a backtest."""
    settings = inline.settings
    for name, value in {
        "LABEL_STUDIO_URL": settings.label_studio_url,
        "LABEL_STUDIO_API_KEY": settings.label_studio_api_key,
        "MODEL_DIR": settings.model_dir,
        "ALFAMIX_BACKBONE_WEIGHTS": settings.backbone_weights,
        "ALFAMIX_FEATURE_BLOCKS": settings.feature_blocks,
        "ALFAMIX_FINETUNE": "head",
        "ALFAMIX_DEVICE": "cpu",
    }.items():
        monkeypatch.setenv(name, str(value))

    def make(count: int = LABELS) -> str:
        project_id = label_studio.create_project(LABEL_CONFIG)
        tasks = [
            {"data": data, "annotations": [{"result": choice(data["truth"])}]}
            for data in colored_tasks(count)
        ]
        label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
        key = inline.connect(project_id)
        inline.reconcile(project_id)
        inline.journal.update_project(key, backtest=phases.REQUESTED)
        return key

    return make


def backtest(inline, key: str, should_stop=lambda: False) -> None:
    backtests.run(inline.worker, inline.journal.project(key), should_stop)


def folder_of(inline, key: str):
    return ProjectContext.of(inline.worker, inline.journal.project(key)).folder.backtest


def test_results_lie_in_the_folder_when_a_backtest_is_done(inline, asked_project):
    key = asked_project()
    inline.journal.update_project(key, own_settings={"strategy": "margin", "budget": "10"})
    backtest(inline, key)
    project = inline.journal.project(key)
    assert (project.backtest, project.backtest_error) == ("", None)
    assert project.backtest_at > 0
    folder = folder_of(inline, key)
    names = {path.name for path in folder.iterdir()}
    assert names == {"report.txt", "rounds.csv", "learning-curves.png", "learning-curves.svg"}
    assert "margin" in (folder / "report.txt").read_text()
    assert project.backtest_done > 0
    assert not list(folder.parent.glob(".writing-*"))


def test_what_it_said_is_noted_when_there_are_too_few_labels(inline, asked_project):
    key = asked_project(60)
    backtest(inline, key)
    project = inline.journal.project(key)
    assert project.backtest == ""
    assert "it has 60 usable labels, needed are 100 (40 more)" in project.backtest_error
    assert not folder_of(inline, key).exists()


@pytest.mark.soak
def test_it_begins_again_when_the_worker_ended_meanwhile(inline, asked_project):
    key = asked_project()
    is_over = threading.Event()
    thread = threading.Thread(target=backtest, args=(inline, key, is_over.is_set))
    thread.start()
    wait_for("rows", lambda: inline.journal.project(key).backtest_total > 0)
    is_over.set()
    thread.join(60)
    assert not thread.is_alive()
    assert inline.journal.project(key).backtest == phases.RUNNING
    assert not folder_of(inline, key).exists()


def test_it_says_so_when_a_setting_of_the_project_cannot_be_used(inline, asked_project):
    key = asked_project(12)
    inline.journal.update_project(key, own_settings={"budget": "none"})
    backtest(inline, key)
    assert "budget is 'none'" in inline.journal.project(key).backtest_error
