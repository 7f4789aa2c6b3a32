"""What the people benchmark counts in a log of what was served."""

from __future__ import annotations

import pytest

from backend.harness.shift import Event
from benchmarks.people import stale_percent
from benchmarks.people_cases import cases


def opened(task_id, labels, score=0.1):
    return Event("p", "open", 0.0, 0.1, task_id, f"alfa-mix r1 · {labels} labels", score)


def submitted(task_id):
    return Event("p", "submit", 0.0, 0.1, task_id, None, None)


def test_labels_are_stale_when_their_network_lacked_more_than_a_batch():
    log = []
    for task_id in range(6):
        log += [opened(task_id, labels=0), submitted(task_id)]
    # With a batch of 3, the labels after four others are stale: two of six.
    assert stale_percent(log, budget=3) == pytest.approx(100 * 2 / 6)


def test_a_second_annotation_of_a_task_is_no_label_that_the_network_lacks():
    log = [opened(1, 0), submitted(1), opened(1, 0), submitted(1), opened(2, 0), submitted(2)]
    assert stale_percent(log, budget=1) == 0
    assert stale_percent(log, budget=0) == pytest.approx(100 * 2 / 3)


def test_nothing_is_stale_when_nobody_labeled():
    assert stale_percent([opened(1, 0)], budget=3) == 0


def test_cases_have_names_of_their_own():
    names = [case.name for case in cases(pause_s=1.0)]
    assert len(set(names)) == len(names)
