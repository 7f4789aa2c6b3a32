"""The soak: what its table counts, and a short one, of five kills."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.harness.annotate import choice
from backend.harness.api import Api
from backend.harness.colors import colored_tasks
from benchmarks.faults.check import findings
from benchmarks.faults.forked import ForkedBackend
from benchmarks.faults.kills import PHASES, killed
from benchmarks.faults.loop import Loop, Site, running_lane
from benchmarks.faults.table import Findings, Growth, Row, Table, Trial
from benchmarks.soak import FAULTS

TURNS = 1
IMAGE = {"data": colored_tasks(1, seed=1)[0]}


def test_row_counts_what_was_found_and_has_the_median_of_the_recoveries():
    trials = [Trial(2.0), Trial(None), Trial(9.0), Trial(3.0)]
    row = Row.of("a fault", trials, Findings(["a label", "a task"], ["a prediction"]))
    assert row == Row("a fault", tries=4, lost=2, doubled=1, stuck=1, recover_s=3.0)
    assert not row.is_good


def test_row_has_no_recovery_when_all_are_stuck():
    assert Row.of("a fault", [Trial(None)], Findings()).recover_s is None


def test_table_is_good_when_nothing_happened_and_nothing_grew(tmp_path: Path):
    table = Table(tmp_path / "rows.json")
    good = Row.of("a fault", [Trial(1.0)], Findings())
    table.add(good, Findings(), [Growth("memory", 100.0, 101.9)])
    assert table.is_good
    table.add(good, Findings(), [Growth("files", 100.0, 102.0)])
    assert not table.is_good
    written = json.loads((tmp_path / "rows.json").read_text())
    expected = {"fault": "a fault", "tries": 1, "lost": 0, "doubled": 0, "stuck": 0}
    assert written["rows"] == [expected | {"recover_s": 1.0}] * 2
    assert [one["percent"] for one in written["growth"]] == [1.9, 2.0]


def test_table_is_shown_as_markdown():
    table = Table(None)
    table.add(Row.of("one", [Trial(1.0)], Findings()), Findings(), [Growth("memory", 100, 101)])
    table.add(Row.of("another", [Trial(None)], Findings()), Findings())
    assert table.markdown().splitlines() == [
        "| fault | tries | lost | doubled | stuck | recover_s |",
        "| --- | --- | --- | --- | --- | --- |",
        "| one | 1 | 0 | 0 | 0 | 1.0 |",
        "| another | 1 | 0 | 0 | 1 |  |",
        "",
        "| what | at the start | at the end | growth |",
        "| --- | --- | --- | --- |",
        "| memory | 100 | 101 | +1.0 % |",
    ]


@pytest.mark.parametrize("found", [Findings(["a label"]), Findings((), ["a prediction"])])
def test_table_is_not_good_when_something_was_found(found: Findings):
    table = Table(None)
    table.add(Row.of("a fault", [Trial(1.0)], found), found)
    assert not table.is_good


def test_faults_have_names_of_their_own():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.fixture
def site(label_studio: Any, tmp_path: Path) -> Iterator[Site]:
    """The session's Label Studio, and two people."""
    tokens = [label_studio.create_user()[2] for _ in range(2)]
    people = [Api(label_studio.url, token) for token in tokens]
    yield Site(label_studio.server, label_studio.api, people, tmp_path)
    for one in people:
        one.close()


@pytest.mark.label_studio
def test_nothing_is_lost_doubled_or_stuck_after_five_kills(site: Site):
    kills, found = killed(site, "kills", TURNS, random.Random(0), images=250)
    assert found == Findings([], [])
    assert kills.kills == dict.fromkeys(PHASES, TURNS)
    trials = [trial for of_phase in kills.trials.values() for trial in of_phase]
    assert len(trials) == TURNS
    assert None not in [trial.recover_s for trial in trials]


@pytest.mark.label_studio
def test_findings_name_what_is_lost_and_doubled(site: Site):
    with running_lane(site, "check", {}, ForkedBackend) as lane, Loop(lane, 12) as loop:
        labels = loop.labels()
        assert findings(loop) == Findings([], [])
        lane.backend.kill_worker()
        status = loop.status()
        task_id, version = status["batch"][-1], status["model_version"]
        loop.api.call("POST", f"/api/tasks/{task_id}/annotations", json={"result": choice("red")})
        new = loop.api.call("POST", f"/api/projects/{loop.project_id}/import", json=[IMAGE])
        twin = {"task": task_id, "result": [], "model_version": version, "score": 0.1}
        loop.api.call("POST", "/api/predictions/", json=twin)
        hook = {"project": loop.project_id, "url": "http://127.0.0.1:9/webhook"}
        loop.api.call("POST", "/api/webhooks/", json=hook)
        found = findings(loop, settle_s=0.0)
        lane.backend.start_worker()
    counted = status["last_round"]["labels"]
    assert counted >= labels
    assert found.lost[0] == f"{counted + 1} tasks are labeled, the last round counted {counted}"
    assert len(found.lost) == 1 + new["task_count"]
    assert found.doubled[0] == f"task {task_id} has 2 predictions of {version}"
    assert "127.0.0.1:9" in found.doubled[1]
    assert len(found.doubled) == 2
