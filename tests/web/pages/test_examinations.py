"""What the doctor finds, asked for by a page."""

from __future__ import annotations

import threading

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


def test_silence_is_said():
    assert _parsed(b"")[0]["remedy"] == "python -m backend doctor"
