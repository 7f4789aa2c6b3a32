"""What the demo prints about rounds."""

from __future__ import annotations

import pytest

from backend.demo.rounds_report import HeldOut, RoundsReport
from backend.errors import DemoError
from backend.harness.backend_process import ProjectStatus


class ScriptedBackend:
    """Answers with the given statuses, one after the other, and with the given predictions."""

    def __init__(self, statuses=(), predictions=()):
        self.statuses = list(statuses)
        self.predictions = list(predictions)

    def project(self, project_id):
        return self.statuses.pop(0)

    def predict(self, key, urls):
        return self.predictions


def project_status(round_number, phase="annotate", error=None):
    return ProjectStatus("1.0", phase, 1, 3, round_number, 20, "typiclust", error)


@pytest.fixture
def report_on(monkeypatch):
    """Makes a report that does not wait between looks."""
    monkeypatch.setattr("backend.demo.rounds_report.POLL_S", 0)

    def make(statuses=(), predictions=("a",), classes=("a",)):
        held_out = HeldOut(dict(enumerate(classes)))
        return RoundsReport(ScriptedBackend(statuses, predictions), 1, held_out)

    return make


def test_wait_ends_at_the_first_later_round(report_on):
    statuses = [None, project_status(None), project_status(1), project_status(2)]

    assert report_on(statuses).next_round(project_status(1), lambda: None).round == 2


def test_wait_ends_at_round_zero_when_none_was_seen(report_on):
    statuses = [None, project_status(None, "embed"), project_status(0)]

    assert report_on(statuses).next_round(None, lambda: None).round == 0


def test_wait_ends_when_the_pool_is_empty(report_on):
    statuses = [project_status(3), project_status(3, "pool-empty")]

    assert report_on(statuses).next_round(project_status(3), lambda: None).phase == "pool-empty"


def test_wait_goes_on_when_the_pool_was_empty_before(report_on):
    empty = project_status(3, "pool-empty")

    assert report_on([empty, empty, project_status(4)]).next_round(empty, lambda: None).round == 4


def test_wait_ends_when_the_check_fails(report_on):
    def check():
        raise DemoError("Label Studio ended")

    with pytest.raises(DemoError, match="ended"):
        report_on().next_round(None, check)


def test_wait_shows_an_error_once(report_on, capsys):
    statuses = [project_status(0, error="no images")] * 3 + [project_status(1)]

    report_on(statuses).next_round(project_status(0), lambda: None)

    assert capsys.readouterr().out.count("no images") == 1


def test_accuracy_is_the_share_of_right_predictions(report_on, capsys):
    predictions = ["a", "b", None, "a"]
    report = report_on([project_status(7)], predictions, classes=["a", "a", "a", "a"])

    report.next_round(None, lambda: None)

    assert "round   7      20 labels   50.0% right on 4 held-out images" in capsys.readouterr().out


def test_line_names_the_strategy_when_the_network_has_no_head(report_on, capsys):
    report = report_on([project_status(0)], [None, None], classes=["a", "b"])

    report.next_round(None, lambda: None)

    told = capsys.readouterr().out
    assert "nothing is trained yet; typiclust chose what comes first" in told
    assert "right" not in told
