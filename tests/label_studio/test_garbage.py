"""What the client says when a server, which stands for Label Studio, answers garbage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from backend.errors import LabelStudioError, LabelStudioUnreachableError
from backend.label_studio import queue
from backend.label_studio.client import LabelStudioClient
from tests.label_studio.garbage_server import Garbage, garbage_server

TOKEN = "0123456789abcdef0123456789abcdef01234567"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

# Every request of the client.
READS: dict[str, Callable[[LabelStudioClient], Any]] = {
    "check": lambda client: client.check(),
    "project": lambda client: client.project(7),
    "user_count": lambda client: client.user_count(1),
    "prediction_versions": lambda client: client.prediction_versions(7),
    "ml_backends": lambda client: client.ml_backends(7),
    "webhooks": lambda client: client.webhooks(7),
    "tasks": lambda client: list(client.tasks(7)),
    "task_page": lambda client: client.task_page(7, 1, 10),
    "task_ids": lambda client: client.task_ids(7),
    "changed_tasks": lambda client: client.changed_tasks(7, LONG_AGO, 10),
    "newest_change": lambda client: client.newest_change(7),
    "selected_tasks": lambda client: list(client.selected_tasks(7, [1, 2])),
    "selected_predictions": lambda client: list(client.selected_predictions(7, [1, 2])),
    "predictions_of_version": lambda client: list(client.predictions_of_version(7, "v")),
    "tabs": lambda client: client.tabs(7),
}
WRITES: dict[str, Callable[[LabelStudioClient], Any]] = {
    "create_webhook": lambda client: client.create_webhook(7, "http://b/webhook", {}),
    "update_webhook": lambda client: client.update_webhook(3, "http://b/webhook", {}),
    "create_prediction": lambda client: client.create_prediction(
        1, result=[], score=0.5, cluster=0, model_version="v"
    ),
    "create_tab": lambda client: client.create_tab(7, {"title": "queue"}),
}
# Nothing of their answer is read.
UNREAD: dict[str, Callable[[LabelStudioClient], Any]] = {
    "update_project": lambda client: client.update_project(7, sampling="x"),
    "delete_webhook": lambda client: client.delete_webhook(3),
    "delete_prediction": lambda client: client.delete_prediction(3),
    "delete_tab": lambda client: client.delete_tab(3),
}
NO_JSON = {
    "cut short": b'{"id": 7, "tasks": [{"id": 1',
    "a page": b"<!doctype html><title>Sign in</title>",
    "bytes": b"\x00\xff\xfe\x80",
    "too deep": b"[" * 200_000,
}
OTHER_SHAPES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a text": b'"hello"',
    "a list of nothing": b"[null]",
    "a list of lists": b"[[]]",
    "a list of empty objects": b"[{}]",
    "an empty object": b"{}",
    "null in place of tasks": b'{"tasks": null, "total": 1, "count": null, "id": null}',
    "text in place of numbers": b'{"tasks": [{"id": "x"}], "total": "many", "id": "x"}',
    "tasks that are none": b'{"tasks": [7, null], "total": 2}',
    "tasks without what is read": b'{"tasks": [{}], "total": 1}',
    "moments that are none": json.dumps(
        {
            "created_at": "yesterday",
            "tasks": [{"id": 1, "updated_at": "yesterday", "predictions": [{"id": 1}]}],
            "total": 1,
        }
    ).encode(),
}


@pytest.fixture
def garbage() -> Iterator[Garbage]:
    with garbage_server(Garbage()) as served:
        yield served


def client_of(garbage: Garbage, token: str = TOKEN) -> LabelStudioClient:
    return LabelStudioClient(garbage.url, token, timeout_s=10, retries=0)


def sentence(garbage: Garbage, request: Callable[[LabelStudioClient], Any]) -> str:
    """What the client says of an answer; never the token."""
    with pytest.raises(LabelStudioError) as raised:
        request(client_of(garbage))
    assert TOKEN not in str(raised.value)
    assert garbage.url in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("request_name", [*READS, *WRITES, *UNREAD])
@pytest.mark.parametrize("body", NO_JSON)
def test_sentence_says_that_garbage_is_no_json(garbage, request_name, body):
    garbage.body = NO_JSON[body]
    garbage.headers = {"Content-Type": "text/html"}
    said = sentence(garbage, {**READS, **WRITES, **UNREAD}[request_name])
    assert f"{len(garbage.body)} bytes that are no JSON (text/html)" in said
    assert "needed is what Label Studio 1.23 answers" in said


@pytest.mark.parametrize("request_name", [*READS, *WRITES])
@pytest.mark.parametrize("body", OTHER_SHAPES)
def test_sentence_says_what_is_wrong_with_garbage_of_another_shape(garbage, request_name, body):
    garbage.body = OTHER_SHAPES[body]
    request = {**READS, **WRITES}[request_name]
    if is_enough_for(request_name, body):
        request(client_of(garbage))
        return
    said = sentence(garbage, request)
    assert "with JSON of another shape (" in said
    assert "needed is what Label Studio 1.23 answers" in said


def is_enough_for(request_name: str, body: str) -> bool:
    """Whether a shape holds all that a request reads."""
    if request_name == "prediction_versions":
        return body == "an empty object"
    return request_name == "task_ids" and body == "moments that are none"


@pytest.mark.parametrize("request_name", [*READS, *WRITES, *UNREAD])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_sentence_names_the_target_when_the_server_redirects(garbage, request_name, status):
    garbage.status = status
    garbage.headers = {"Location": "https://user:secret@sso.example.com/login?token=secret"}
    said = sentence(garbage, {**READS, **WRITES, **UNREAD}[request_name])
    assert "to https://sso.example.com/login; LABEL_STUDIO_URL needs" in said
    assert "secret" not in said
    assert len(garbage.requests) == 1


@pytest.mark.parametrize("request_name", [*READS, *WRITES, *UNREAD])
def test_server_counts_as_unreachable_when_its_garbage_ends_early(garbage, request_name):
    garbage.body, garbage.length = b'{"id": 7', 1000
    with pytest.raises(LabelStudioUnreachableError, match="does not answer"):
        {**READS, **WRITES, **UNREAD}[request_name](client_of(garbage))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"access": 7}', b"<html>"])
@pytest.mark.parametrize("status", [200, 403, 502])
def test_sentence_says_that_the_token_cannot_be_refreshed_when_garbage_comes(garbage, body, status):
    garbage.status, garbage.body = status, body
    expires = {"exp": int(time.time()) + 3600, "token_type": "refresh"}
    token = jwt.encode(expires, "key of at least thirty-two bytes", "HS256")
    client = client_of(garbage, token)
    for request in (client.authorization, client.check):
        with pytest.raises(LabelStudioError) as raised:
            request()
        assert garbage.url in str(raised.value)
        assert token not in str(raised.value)


@pytest.mark.parametrize(
    "predictions", [[{}], [{"id": None, "model_version": "v"}], ["v"], {"id": 1}, "v"]
)
def test_sentence_says_what_is_wrong_when_predictions_are_garbage(garbage, predictions):
    tasks = [{"id": 1, "predictions": predictions}]
    garbage.body = json.dumps({"tasks": tasks, "total": 1}).encode()
    said = sentence(garbage, lambda client: queue.published(client, 7, "v", [1]))
    assert "(tasks.0.predictions" in said
