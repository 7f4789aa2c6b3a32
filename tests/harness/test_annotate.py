"""How simulated annotators share a batch, without a Label Studio."""

from __future__ import annotations

import threading

import pytest

from backend.errors import LabelStudioError
from backend.harness.annotate import label_batch, label_together


class Pool:
    """Tasks in queue order, which annotators take and label, but for skipped and held ones."""

    def __init__(self, task_ids, skipped=(), held=()):
        self.all = list(task_ids)
        self.skipped = set(skipped)
        self.held = set(held)
        self.waiting = [task_id for task_id in task_ids if task_id not in {*skipped, *held}]
        self.labeled = []

    def find(self, path):
        task_id = int(path.split("/")[3])
        is_labeled = task_id in self.labeled
        return {"is_labeled": is_labeled, "cancelled_annotations": int(task_id in self.skipped)}


class FakeAnnotator:
    """Labels what the pool serves, and waits at the barrier during its first task."""

    def __init__(self, pool, barrier=None, refuse=None):
        self.pool = pool
        self.barrier = barrier
        self.refuse = refuse
        self.labeled = []

    def next_task(self):
        return {"id": self.pool.waiting.pop(0)} if self.pool.waiting else None

    def submit(self, task):
        if task["id"] == self.refuse:
            raise LabelStudioError(f"task {task['id']} is refused")
        if self.barrier and not self.labeled:
            self.barrier.wait(timeout=60)
        self.labeled.append(task["id"])
        self.pool.labeled.append(task["id"])


def test_annotators_work_at_the_same_time():
    pool = Pool(range(6))
    barrier = threading.Barrier(2)
    annotators = [FakeAnnotator(pool, barrier) for _ in range(2)]

    served = label_together(annotators, 6)

    assert sorted(served) == list(range(6))
    assert all(annotator.labeled for annotator in annotators)


def test_no_task_is_taken_beyond_the_count():
    pool = Pool(range(10))

    served = label_together([FakeAnnotator(pool) for _ in range(3)], 4)

    assert sorted(served) == [0, 1, 2, 3]
    assert pool.waiting == [4, 5, 6, 7, 8, 9]


def test_an_error_ends_the_others_when_one_is_refused():
    pool = Pool(range(1000))

    with pytest.raises(LabelStudioError, match="task 0 is refused"):
        label_together([FakeAnnotator(pool, refuse=0)], 1000)

    assert pool.labeled == []


def test_batch_is_labeled_when_part_of_it_was_already():
    pool = Pool(range(6))
    pool.labeled.append(pool.waiting.pop(1))

    label_batch(pool, [FakeAnnotator(pool)], [0, 1, 2])

    assert sorted(pool.labeled) == [0, 1, 2]


def test_batch_is_done_when_somebody_skipped_the_rest():
    pool = Pool(range(6), skipped=[2])

    label_batch(pool, [FakeAnnotator(pool)], [0, 1, 2])

    assert sorted(pool.labeled) == [0, 1]


def test_batch_is_left_when_somebody_holds_the_rest():
    pool = Pool(range(100), held=[2])

    label_batch(pool, [FakeAnnotator(pool)], [0, 1, 2])

    assert {0, 1} < set(pool.labeled)
    assert len(pool.labeled) == 4  # two of the batch, and one task of the reserve in each round
