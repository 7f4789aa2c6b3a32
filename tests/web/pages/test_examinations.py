"""What the doctor finds, asked for by a page."""

from __future__ import annotations

import threading

import pytest

from backend.web.pages.examinations import Examinations, _parsed

FOUND = [{"verdict": "ok", "topic": "disk", "text": "enough", "remedy": ""}]


def test_page_does_not_wait_and_one_look_serves_many():
    looked, ready, done = [], threading.Event(), threading.Event()

    def look(project_id):
        looked.append(project_id)
        ready.wait(10)
        done.set()
        return FOUND

    examinations = Examinations(look)
    assert examinations.of(3) is None
    assert examinations.of(3) is None
    ready.set()
    assert done.wait(10)
    while (found := examinations.of(3)) is None:
        pass
    assert (found.findings, looked) == (FOUND, [3])


def test_findings_are_read_line_by_line_among_other_words():
    line = b'{"verdict": "FAIL", "topic": "t", "text": "x", "remedy": "do"}'
    found = _parsed(b"a warning\n" + line + b"\n")
    assert found == [{"verdict": "FAIL", "topic": "t", "text": "x", "remedy": "do"}]


def test_line_that_is_json_but_no_finding_is_passed_over():
    line = b'{"verdict": "ok", "topic": "t", "text": "x", "remedy": ""}'
    assert [one["topic"] for one in _parsed(b'3\n"a"\nnull\n[1]\n' + line)] == ["t"]


def test_doctor_that_cannot_be_started_is_a_finding():
    def look(_project_id):
        raise FileNotFoundError("no python")

    examinations = Examinations(look)
    while (found := examinations.of(3)) is None:
        pass
    (finding,) = found.findings
    assert finding["verdict"] == "FAIL"
    assert finding["text"] == "the doctor could not be started: no python"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_project_is_looked_at_again_when_a_look_failed():
    looked = []

    def look(project_id):
        looked.append(project_id)
        if len(looked) == 1:
            raise ValueError("a fault")
        return FOUND

    examinations = Examinations(look)
    while (found := examinations.of(3)) is None:
        pass
    assert (found.findings, looked) == (FOUND, [3, 3])


def test_silence_is_said():
    assert _parsed(b"")[0]["remedy"] == "python -m backend doctor"
