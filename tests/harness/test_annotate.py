"""The requests of one annotator, against an imitation of Label Studio."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend.errors import LabelStudioUnreachableError
from backend.harness.annotate import Annotator, choice
from backend.harness.api import Api
from backend.harness.child import free_port
from tests.harness.imitation import ImitationLabelStudio, imitation_label_studio


@pytest.fixture
def label_studio_like() -> Iterator[ImitationLabelStudio]:
    with imitation_label_studio(task_ids=[11, 12]) as imitation:
        yield imitation


@pytest.fixture
def api(label_studio_like: ImitationLabelStudio) -> Iterator[Api]:
    api = Api(label_studio_like.url, "ann")
    yield api
    api.close()


@pytest.fixture
def annotator(api: Api) -> Annotator:
    return Annotator(api, 7, lambda data: data["truth"])


def test_submit_sends_the_true_class_and_the_prediction_that_was_shown(
    label_studio_like: ImitationLabelStudio, annotator: Annotator
) -> None:
    task = annotator.open_next()
    assert task is not None

    assert annotator.submit(task) == 1100

    sent = label_studio_like.requests[-1]
    assert (sent.method, sent.path) == ("POST", "/api/tasks/11/annotations")
    assert sent.body == {"result": choice("cat"), "project": 7, "parent_prediction": 9011}


def test_submit_sends_another_class_when_one_is_named(
    label_studio_like: ImitationLabelStudio, annotator: Annotator
) -> None:
    annotator.submit({"id": 12, "data": {"truth": "cat"}}, "dog")

    sent = label_studio_like.requests[-1].body
    assert sent["result"][0]["value"] == {"choices": ["dog"]}
    assert sent["parent_prediction"] is None


def test_submit_answers_the_choices_of_the_name_that_they_have(
    label_studio_like: ImitationLabelStudio, api: Api
) -> None:
    person = Annotator(api, 7, lambda data: data["truth"], "kind")
    person.submit({"id": 12, "data": {"truth": "cat"}})
    assert label_studio_like.requests[-1].body["result"][0]["from_name"] == "kind"


def test_submit_stores_one_annotation_when_label_studio_fails_after_storing_it(
    label_studio_like: ImitationLabelStudio, annotator: Annotator
) -> None:
    label_studio_like.busy = 1
    task = annotator.open_next()
    assert task is not None

    assert annotator.submit(task) == 1100
    assert label_studio_like.labels == {11: [("ann", False)]}


def test_skip_sends_an_empty_result_that_is_cancelled(
    label_studio_like: ImitationLabelStudio, annotator: Annotator
) -> None:
    task = annotator.open_next()
    assert task is not None

    annotator.skip(task)

    sent = label_studio_like.requests[-1].body
    assert (sent["result"], sent["was_cancelled"]) == ([], True)


def test_label_next_is_none_when_every_task_is_labeled_or_skipped(annotator: Annotator) -> None:
    first = annotator.open_next()
    assert first is not None
    annotator.skip(first)

    assert [annotator.label_next() for _ in range(2)] == [12, None]


def test_postpone_sends_a_draft_of_the_true_class(
    label_studio_like: ImitationLabelStudio, annotator: Annotator
) -> None:
    task = annotator.open_next()
    assert task is not None

    assert annotator.postpone(task) == 7011

    sent = label_studio_like.requests[-1]
    assert (sent.method, sent.path) == ("POST", "/api/tasks/11/drafts")
    assert (sent.body["result"], sent.body["was_postponed"]) == (choice("cat"), True)
    assert label_studio_like.labels == {}


def test_requests_raise_what_says_so_when_label_studio_is_not_there() -> None:
    api = Api(f"http://127.0.0.1:{free_port()}", "ann")

    with pytest.raises(LabelStudioUnreachableError, match="GET /api: no answer \\(ConnectError"):
        api.call("GET", "/api")
    api.close()
