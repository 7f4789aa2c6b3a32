"""When a new round is due, and when a new network is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.loop import due
from backend.loop.due import Standing
from tests.states import CLASSES, round_state, tuning_state

# 40 tasks labeled, 60 wait, all 100 embedded; the round chose from the 60 with those labels.
STANDING = Standing(
    labeled=40,
    pool=60,
    unreadable=0,
    embedded=100,
    tuning=0,
    waiting=20,
    is_whole=True,
    is_ranked=True,
    classes=CLASSES,
    budget=10,
    lookahead=0.9,
    label_changes=70,
    training_requested=False,
    requested_round=-1,
)
PUBLISHED = round_state(3, n_labeled=40, n_pool=60, n_embedded=100, label_changes=70)


def reason(published=PUBLISHED, **changes):
    return due.round_due(replace(STANDING, **changes), published)


@pytest.mark.parametrize(
    ("embedded", "is_whole", "expected"),
    [
        (0, False, None),
        (255, False, None),
        (256, False, due.FIRST_ROUND),
        (5, True, due.FIRST_ROUND),  # all there is
        (0, True, due.FIRST_ROUND),  # an empty project has its round, and waits
    ],
)
def test_first_round_is_due_when_enough_is_embedded(embedded, is_whole, expected):
    assert reason(None, embedded=embedded, is_whole=is_whole) == expected


def test_first_round_waits_for_two_batches_when_the_budget_is_large():
    assert reason(None, embedded=999, is_whole=False, budget=500) is None
    assert reason(None, embedded=1000, is_whole=False, budget=500) == due.FIRST_ROUND


@pytest.mark.parametrize(
    ("new", "lookahead", "expected"),
    [
        (0, 0.9, None),
        (8, 0.9, None),
        (9, 0.9, due.LABELS),
        (9, 1.0, None),
        (10, 1.0, due.LABELS),
        (1, 0.01, due.LABELS),
        (0, 0.01, None),
    ],
)
def test_round_is_due_by_labels_wherever_they_were_given(new, lookahead, expected):
    changes = {"labeled": 40 + new, "pool": 60 - new, "lookahead": lookahead}
    assert reason(**changes, label_changes=70 + new) == expected


@pytest.mark.parametrize(("corrected", "expected"), [(8, None), (9, due.LABELS)])
def test_round_is_due_when_as_many_labels_were_corrected_or_deleted(corrected, expected):
    assert reason(label_changes=70 + corrected) == expected


def test_round_is_due_when_the_ranking_was_lost():
    assert reason(is_ranked=False) == due.RANKING_LOST


def test_round_is_not_due_again_and_again_when_its_pool_is_not_what_the_counts_say():
    # Three tasks are ranked that the journal holds for unreadable.
    last = {"labeled": 45, "pool": 3, "unreadable": 3}
    told = replace(PUBLISHED, n_labeled=45, n_pool=3, statistics={"reason": due.POOL_DONE})
    assert reason(told, **last) is None


def test_round_is_due_when_training_was_requested():
    assert reason(training_requested=True) == due.START_TRAINING


def test_round_is_due_when_the_classes_changed():
    assert reason(classes=["cat", "dog", "bird"]) == due.CLASSES_CHANGED


def test_round_is_due_when_a_fine_tuned_network_is_ready():
    assert reason(tuning=1) == due.NETWORK_READY


@pytest.mark.parametrize(
    ("new", "is_whole", "expected"),
    [
        (99, False, None),
        (100, False, due.POOL_GREW),  # twice as many
        (9, True, None),
        (10, True, due.POOL_GREW),  # all there are: a batch of them, and a tenth more
    ],
)
def test_round_is_due_when_there_are_many_more_images_to_choose_from(new, is_whole, expected):
    assert reason(pool=60 + new, embedded=100 + new, is_whole=is_whole) == expected


def test_round_waits_for_labels_when_few_of_many_images_are_new():
    large = replace(PUBLISHED, n_pool=9960, n_embedded=10_000)
    assert reason(large, pool=9970, embedded=10_010) is None
    assert reason(large, pool=10_960, embedded=11_000) == due.POOL_GREW


@pytest.mark.parametrize(("waiting", "expected"), [(10, None), (9, due.POOL_GREW)])
def test_round_is_due_when_the_queue_runs_short_and_there_is_a_new_image(waiting, expected):
    assert reason(pool=61, embedded=101, waiting=waiting) == expected


def test_round_is_due_when_one_task_comes_to_an_empty_pool():
    empty = replace(PUBLISHED, n_labeled=100, n_pool=0)
    assert reason(empty, labeled=100, pool=1, embedded=101, waiting=0) == due.POOL_GREW


@pytest.mark.parametrize("unreadable", [0, 2])
def test_last_round_is_due_once_when_nothing_is_left_to_label(unreadable):
    last = {"labeled": 45, "pool": unreadable, "unreadable": unreadable}
    assert reason(**last) == due.POOL_DONE
    done = replace(PUBLISHED, n_labeled=45, n_pool=0)
    assert reason(done, **last) is None


def test_last_round_is_due_again_when_skipped_tasks_were_labeled_after_it():
    done = replace(PUBLISHED, n_labeled=43, n_pool=0, statistics={"reason": due.POOL_DONE})
    last = {"labeled": 45, "pool": 0}
    assert reason(done, **last, label_changes=72) == due.POOL_DONE
    assert reason(replace(done, label_changes=72), **last, label_changes=72) is None


def test_last_round_waits_when_images_are_still_to_be_embedded():
    assert reason(labeled=45, pool=0, is_whole=False) is None


def tuning(newest, *, has_two_classes=True, **changes):
    standing = replace(STANDING, **changes)
    return due.tuning_due(standing, newest, has_two_classes=has_two_classes)


@pytest.mark.parametrize(("labeled", "expected"), [(8, False), (9, True)])
def test_first_tuning_is_due_when_as_many_are_labeled_as_for_a_round(labeled, expected):
    assert tuning(None, labeled=labeled) is expected


def test_first_tuning_is_due_when_somebody_asks_and_there_are_two_classes():
    assert tuning(None, requested_round=3, labeled=3)
    assert not tuning(None, requested_round=3, labeled=3, has_two_classes=False)
    assert not tuning(None, labeled=3)


@pytest.mark.parametrize(("known", "expected"), [(70, False), (62, False), (61, True)])
def test_tuning_is_due_by_labels(known, expected):
    assert tuning(tuning_state(label_changes=known)) is expected


def test_tuning_is_due_when_the_classes_changed():
    assert tuning(tuning_state(label_changes=70), classes=["cat", "bird"])


def test_tuning_is_due_once_when_training_was_requested():
    before = tuning_state(label_changes=69, statistics={"round": 2})
    assert tuning(before, requested_round=3)
    assert not tuning(before)
    assert not tuning(replace(before, statistics={"round": 3}), requested_round=3)
    assert not tuning(replace(before, label_changes=70), requested_round=3)
