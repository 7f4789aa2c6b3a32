"""Which images are tried when, and what is noted of those that cannot be had."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.loop import unreadable
from backend.loop.snapshot import Snapshot
from model_store.journal import Journal, UnreadableTask
from tests.states import KEY, mirrored_task, round_state


@pytest.fixture
def clock():
    return [10_000.0]


@pytest.fixture
def context(tmp_path, clock) -> Any:
    journal = Journal.in_folder(tmp_path, clock=lambda: clock[0])
    journal.note_changed(KEY)
    journal.tasks.put(KEY, [mirrored_task(number) for number in range(1, 61)])
    return SimpleNamespace(journal=journal, key=KEY)


def image_key(number):
    return f"{number:032x}"


def snapshot_of(numbers, shared=()):
    """Tasks of their own image each; those of `shared` show image 0."""
    count = len(numbers)
    keys = [image_key(0 if number in shared else number) for number in numbers]
    return Snapshot(
        task_ids=np.array(numbers),
        image_keys=np.array(keys),
        is_labeled=np.zeros(count, bool),
        labels=np.zeros(count, np.int64),
        in_pool=np.ones(count, bool),
    )


def failed(context, *numbers, at):
    rows = [UnreadableTask(number, f"/{number}.png", "gone", at) for number in numbers]
    context.journal.note_unreadable(KEY, rows)


def wanted(context, snapshot, missing):
    return unreadable.wanted(context, snapshot, {image_key(number) for number in missing})


def test_images_never_tried_come_first_and_those_that_just_failed_rest(context, clock):
    snapshot = snapshot_of([1, 2, 3, 4])
    failed(context, 1, at=clock[0] - 601)
    failed(context, 2, at=clock[0] - 599)
    assert wanted(context, snapshot, [1, 2, 3]) == [image_key(3), image_key(1)]


def test_failed_images_are_tried_again_when_a_later_round_was_published(context, clock):
    snapshot = snapshot_of([1, 2])
    failed(context, 1, at=clock[0] - 50)
    failed(context, 2, at=clock[0] - 20)
    context.journal.open_round(round_state(finished_at=clock[0] - 30))
    assert wanted(context, snapshot, [1, 2]) == [image_key(1)]


def test_failed_images_rest_after_a_clock_was_set_back_no_longer_than_others(context, clock):
    failed(context, 1, at=clock[0] + 10_000)
    assert wanted(context, snapshot_of([1]), [1]) == [image_key(1)]


def test_an_image_of_two_tasks_is_tried_when_one_of_them_never_was(context, clock):
    snapshot = snapshot_of([1, 2], shared=(1, 2))
    failed(context, 1, at=clock[0])
    assert wanted(context, snapshot, [0]) == [image_key(0)]


def test_only_a_few_are_probed_and_the_others_rest_where_all_of_them_fail(context, clock):
    numbers = list(range(1, 61))
    snapshot = snapshot_of(numbers)
    failed(context, *numbers, at=clock[0] - 700)
    probes = wanted(context, snapshot, numbers)
    assert len(probes) == unreadable.PROBED
    unreadable.note(context, snapshot, set(probes), dict.fromkeys(probes, "still gone"))
    assert wanted(context, snapshot, numbers) == []
    assert len(context.journal.unreadable(KEY)) == 60


def test_all_are_tried_where_one_of_the_probed_can_be_had(context, clock):
    numbers = list(range(1, 61))
    snapshot = snapshot_of(numbers)
    failed(context, *numbers, at=clock[0] - 700)
    probes = wanted(context, snapshot, numbers)
    unreadable.note(context, snapshot, set(probes), dict.fromkeys(probes[1:], "still gone"))
    left = {int(task.task_id) for task in context.journal.unreadable(KEY)}
    assert len(left) == unreadable.PROBED - 1
    assert len(wanted(context, snapshot, numbers[1:])) == 60 - unreadable.PROBED


def test_unreadable_in_pool_forgets_what_can_be_had(context):
    context.journal.tasks.put(KEY, [mirrored_task(1), mirrored_task(2)])
    snapshot = snapshot_of([1, 2])
    keys = {image_key(1), image_key(2)}
    unreadable.note(context, snapshot, keys, dict.fromkeys(keys, "404"))
    assert context.journal.unreadable_in_pool(KEY) == 2
    unreadable.note(context, snapshot, keys, {image_key(2): "404"})
    assert context.journal.unreadable_in_pool(KEY) == 1
