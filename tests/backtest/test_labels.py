"""Which labels of a project are used, and when they are too few."""

from __future__ import annotations

import numpy as np
import pytest

from backend.backtest.labels import LabeledProject, check_enough, read_labels
from backend.errors import BacktestError
from tests.backtest.conftest import (
    PROJECT_ID,
    ReadOnlyClient,
    annotation,
    labeled_task,
    labeled_tasks,
)


def read(tasks: list[dict], *without: str) -> LabeledProject:
    return read_labels(ReadOnlyClient(tasks), PROJECT_ID, without)


def test_read_labels_takes_labeled_tasks_by_id_and_no_others() -> None:
    skipped = labeled_task(1, "dark") | {"annotations": [annotation("dark", was_cancelled=True)]}
    old_class = labeled_task(2, "a class that the config lost")
    open_task = {"id": 3, "data": {"picture": "image-3"}, "annotations": []}
    tasks = [labeled_task(9, "bright"), skipped, old_class, open_task, labeled_task(4, "dark")]

    project = read(tasks)

    assert project.task_ids.tolist() == [4, 9]
    assert project.labels.tolist() == [0, 1]
    assert project.uris == ["image-4", "image-9"]
    assert project.left_out == ()


def test_read_labels_takes_the_majority_when_annotators_disagree() -> None:
    votes = [annotation("dark"), annotation("bright"), annotation("dark")]

    project = read([labeled_task(1, "bright") | {"annotations": votes}])

    assert project.labels.tolist() == [0]


def test_read_labels_leaves_out_and_names_a_task_without_an_image() -> None:
    project = read([labeled_task(1, "dark"), labeled_task(2, "dark") | {"data": {"text": "x"}}])

    assert project.task_ids.tolist() == [1]
    assert [(task.task_id, "'text'" in task.reason) for task in project.left_out] == [(2, True)]


def test_read_labels_uses_an_image_once_when_two_tasks_show_it() -> None:
    # otherwise the same image could be learned and held out
    tasks = [labeled_task(5, "bright", uri="image-1"), labeled_task(3, "dark", uri="image-1")]

    project = read(tasks)

    assert (project.task_ids.tolist(), project.repeated) == ([3], 1)


def test_read_labels_has_no_rows_of_a_class_that_is_left_out() -> None:
    project = read([labeled_task(1, "dark"), labeled_task(2, "unclear")], "unclear")

    assert project.task_ids.tolist() == [1]
    assert project.classes == ("dark", "bright", "unclear")  # numbers stay the label config's


@pytest.mark.parametrize(
    ("without", "message"),
    [(["x"], "no such class; it has dark, bright, unclear"), (["dark", "bright"], "leaves 1 of 3")],
)
def test_read_labels_raises_when_the_classes_to_leave_out_do_not_suit(
    without: list[str], message: str
) -> None:
    with pytest.raises(BacktestError, match=message):
        read(labeled_tasks(2), *without)


def test_read_labels_raises_when_there_is_no_such_project() -> None:
    with pytest.raises(BacktestError, match="has no project 8"):
        read_labels(ReadOnlyClient([]), 8)


def test_check_enough_says_what_is_missing_when_it_is_too_early() -> None:
    tasks = [*labeled_tasks(61), labeled_task(100, "unclear"), labeled_task(101, "unclear")]

    with pytest.raises(BacktestError) as raised:
        check_enough(read(tasks))

    assert "too early to backtest project 7" in str(raised.value)
    assert "it has 63 usable labels, needed are 100 (37 more)" in str(raised.value)
    assert "'unclear' has 2 (3 more)" in str(raised.value)
    assert "'dark'" not in str(raised.value)


def test_check_enough_counts_a_class_that_nobody_chose() -> None:
    with pytest.raises(BacktestError, match=r"'unclear' has 0 \(5 more\).*--without") as raised:
        check_enough(read(labeled_tasks(100)))

    assert "needed are 100" not in str(raised.value)


def test_check_enough_is_content_with_100_labels_and_5_a_class() -> None:
    check_enough(read(labeled_tasks(100), "unclear"))
    few = [labeled_task(200 + number, "unclear") for number in range(5)]
    check_enough(read([*labeled_tasks(95), *few]))


def test_without_unreadable_moves_the_rows_to_those_left_out() -> None:
    project = read(labeled_tasks(4))

    kept = project.without_unreadable({project.image_keys[1]: "404", project.image_keys[2]: "x"})

    assert kept.task_ids.tolist() == [0, 3]
    assert kept.image_keys == [project.image_keys[0], project.image_keys[3]]
    np.testing.assert_array_equal(kept.labels, [0, 1])
    assert [(task.task_id, task.reason) for task in kept.left_out] == [(1, "404"), (2, "x")]
