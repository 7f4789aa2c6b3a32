"""Label Studio's task JSON as a round sees it."""

from __future__ import annotations

import pytest

from backend.label_studio.annotations import agreed_label, choice_result, read_task
from backend.label_studio.label_config import ImageChoices

CONFIG = ImageChoices("label", "image", "image", ("cat", "dog"))


def annotation(name, *, cancelled=False, at="2026-01-01T00:00:00Z", from_name="label"):
    value = {"choices": [name]} if name else {}
    region = {"from_name": from_name, "to_name": "image", "type": "choices", "value": value}
    return {
        "result": [region] if name else [],
        "was_cancelled": cancelled,
        "created_at": at,
    }


def task(*annotations, **fields):
    base = {"id": 7, "data": {"image": "/a.png"}, "is_labeled": False}
    return {**base, "annotations": list(annotations), **fields}


def test_read_task_is_pool_when_there_is_no_annotation():
    found = read_task(task(), CONFIG)
    assert (found.task_id, found.uri, found.label) == (7, "/a.png", None)
    assert not found.is_done
    assert not found.is_skipped


def test_read_task_is_skipped_when_its_only_annotation_was_cancelled():
    found = read_task(task(annotation("cat", cancelled=True)), CONFIG)
    assert found.is_skipped
    assert found.label is None


def test_read_task_is_labeled_when_somebody_answered_after_a_skip():
    found = read_task(task(annotation("cat", cancelled=True), annotation("dog")), CONFIG)
    assert (found.label, found.is_done, found.is_skipped) == (1, True, False)


def test_read_task_is_done_without_label_when_nothing_was_chosen():
    found = read_task(task(annotation(None)), CONFIG)
    assert (found.label, found.is_done) == (None, True)


def test_read_task_has_no_label_when_the_class_is_no_longer_in_the_config():
    assert read_task(task(annotation("bird")), CONFIG).label is None


@pytest.mark.parametrize(
    "result",
    [
        None,
        "cat",
        7,
        ["cat"],
        [None],
        [{"from_name": "label"}],
        [{"from_name": "label", "value": "cat"}],
        [{"from_name": "label", "value": {"choices": 7}}],
        [{"from_name": "label", "value": {"choices": "cat"}}],
        [{"from_name": "label", "value": {"choices": [{"cat": 1}]}}],
    ],
)
def test_read_task_has_no_label_when_an_annotation_holds_something_else(result):
    found = read_task(task({**annotation("cat"), "result": result}), CONFIG)
    assert (found.label, found.is_done) == (None, True)


def test_read_task_names_the_fields_when_the_image_field_is_missing():
    found = read_task(task(data={"text": "hello"}), CONFIG)
    assert found.uri is None
    assert "no 'image', only ['text']" in found.problem


def test_read_task_says_what_is_there_when_the_field_holds_no_address():
    assert "holds 3" in read_task(task(data={"image": 3}), CONFIG).problem


def test_agreed_label_is_the_majority_when_annotators_differ():
    notes = [annotation("cat"), annotation("cat"), annotation("dog", at="2026-02-01T00:00:00Z")]
    assert agreed_label(notes, CONFIG) == 0


def test_agreed_label_is_the_last_when_votes_are_equal():
    notes = [annotation("dog", at="2026-02-01T00:00:00Z"), annotation("cat")]
    assert agreed_label(notes, CONFIG) == 1


def test_agreed_label_ignores_other_controls():
    notes = [annotation("dog", from_name="mood"), annotation("cat")]
    assert agreed_label(notes, CONFIG) == 0


def test_choice_result_is_read_back_as_the_same_class():
    note = {"result": [choice_result(CONFIG, "dog", 0.9)], "created_at": ""}
    assert agreed_label([note], CONFIG) == 1


def test_read_task_quotes_nothing_of_a_list_that_may_hold_a_password():
    held = ["https://me:secret@cdn.test/a.png"]
    problem = read_task(task(data={"image": held}), CONFIG).problem
    assert "holds a list" in problem
    assert "secret" not in problem
