"""Requests that nobody should send: refused with a sentence, never with a traceback or a path."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from backend.process.startup import open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.bodies import MAX_BYTES, MAX_ITEMS
from backend.web.predictor import Predictor
from model_store.journal import Journal
from tests.states import round_state

KEY = "3.1700000000"
DIGITS = "9" * 5000
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
EPOCH = "1970-01-01T00:00:00Z"
TASK = {"id": 1, "data": {"image": "data:image/png;base64,AAAA"}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return open_journal(settings)


@pytest.fixture
def client(settings: Settings, journal: Journal) -> FlaskClient:
    """A client of an app with one connected project."""

    def no_network():
        raise AssertionError("the network is not needed here")

    app = create_app(settings, journal, Predictor(settings, journal, no_network))
    client = app.test_client()
    body = {"project": KEY, "schema": LABEL_CONFIG, "hostname": "http://ls", "access_token": "t"}
    assert client.post("/setup", json=body).status_code == 200
    return client


def assert_refused(reply: Any, status: int = 400) -> str:
    """The sentence of a refusal, which is in the reason phrase too."""
    assert reply.status_code == status, reply.get_data(as_text=True)
    sentence = reply.json["error"]
    assert list(reply.json) == ["error"]
    assert "Traceback" not in sentence
    assert "/" + "site-packages" not in sentence
    assert reply.status.isascii()
    assert reply.status.isprintable()
    return sentence


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/setup", {}),
        ("/setup", {"project": None}),
        ("/setup", {"project": "3"}),
        ("/setup", {"project": "3.x", "schema": LABEL_CONFIG}),
        ("/setup", {"project": f"3.{DIGITS}", "schema": LABEL_CONFIG}),
        ("/setup", {"project": f"{DIGITS}.3", "schema": LABEL_CONFIG}),
        ("/setup", {"project": "²", "schema": LABEL_CONFIG}),
        ("/setup", {"project": KEY, "schema": ["a"]}),
        ("/setup", {"project": KEY, "schema": LABEL_CONFIG, "hostname": {"a": 1}}),
        ("/setup", {"project": KEY, "schema": LABEL_CONFIG, "access_token": "t" * 5000}),
        ("/setup", {"project": KEY, "schema": "<View>"}),
        ("/setup", {"project": KEY, "schema": "<a>\u0000\u001b</a>"}),
        ("/predict", {}),
        ("/predict", {"tasks": [TASK]}),
        ("/predict", {"project": None, "tasks": [TASK]}),
        ("/predict", {"project": "9", "tasks": [TASK]}),
        ("/predict", {"project": "9.1", "tasks": [TASK]}),
        ("/predict", {"project": KEY, "tasks": None}),
        ("/predict", {"project": KEY, "tasks": [None]}),
        ("/predict", {"project": KEY, "tasks": [{"data": {}}]}),
        ("/predict", {"project": KEY, "tasks": [{"id": 1}]}),
        ("/predict", {"project": KEY, "tasks": [{"id": "x", "data": {}}]}),
        ("/predict", {"project": KEY, "tasks": [{"id": 1, "data": []}]}),
        ("/predict", {"project": KEY, "tasks": [TASK], "label_config": 7}),
        ("/predict", {"project": KEY, "tasks": [TASK], "params": 7}),
        ("/webhook", {}),
        ("/webhook", {"action": "ANNOTATION_CREATED"}),
        ("/webhook", {"action": None, "project": KEY}),
        ("/webhook", {"action": "X", "project": []}),
        ("/webhook", {"action": "X", "project": True}),
        ("/webhook", {"action": "X", "project": -3}),
        ("/webhook", {"action": "X", "project": 2**70}),
        ("/webhook", {"action": "X", "project": {"id": "3"}}),
        ("/webhook", {"action": "X", "project": {"id": 2**70, "created_at": EPOCH}}),
        ("/webhook", {"action": "X", "project": {"id": 3, "created_at": "yesterday"}}),
        ("/webhook", {"action": "X", "project": {"id": 3, "created_at": "0001-01-01T00:00:00Z"}}),
        ("/train", {"project": "9/../3"}),
        ("/train", []),
        ("/job_status", {"job": 3}),
        ("/job_status", {}),
    ],
)
def test_reply_is_400_with_a_sentence_when_a_body_is_not_what_it_must_be(client, path, body):
    assert assert_refused(client.post(path, json=body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"action": "\\ud800", "project": 3}',
        b'{"action": "X", "project": ' + DIGITS.encode() + b"}",
        b'{"action": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"action": "X", "project": "'
        + KEY.encode()
        + b'", "a": '
        + b"[" * 300
        + b"]" * 300
        + b"}",
        b'{"action": "X", "a": [' + b"[]," * MAX_ITEMS + b"0]}",
    ],
    ids=["empty", "cut", "bytes", "surrogate", "digits", "deep", "rather deep", "many"],
)
def test_reply_is_400_when_a_body_is_no_json_that_could_be_meant(client, body):
    assert_refused(client.post("/webhook", data=body, content_type="application/json"))


def test_reply_is_400_when_a_body_is_of_another_type(client):
    # A page of another site could send it from an admin's browser without being asked.
    body = json.dumps({"action": "START_TRAINING", "project": KEY})
    sentence = assert_refused(client.post("/webhook", data=body, content_type="text/plain"))
    assert "needed is application/json" in sentence


def test_reply_is_400_when_the_header_names_no_project(client, journal):
    named = {"X-Alfa-Mix-Project": f"3.{DIGITS}"}
    assert_refused(client.post("/webhook", json={"action": "X"}, headers=named))
    assert [state.key for state in journal.projects()] == [KEY]


def test_reply_is_413_with_the_limit_when_a_body_is_too_large(client):
    body = b'{"action": "' + b"x" * MAX_BYTES + b'", "project": 3}'
    reply = client.post("/webhook", data=body, content_type="application/json")
    assert str(MAX_BYTES) in assert_refused(reply, 413)


@pytest.mark.parametrize("project", ["²", DIGITS, f"3.{DIGITS}", "3;", "-1", "\u0000"])
def test_reply_is_400_when_a_query_names_no_project(client, project):
    assert_refused(client.get("/is_training", query_string={"project": project}))


def test_is_training_is_false_when_the_project_is_unknown(client, journal):
    journal.set_background(KEY, "train", 3, 60)
    assert client.get("/is_training?project=9.1").json == {"is_training": False}
    assert client.get("/is_training").json == {"is_training": True}


@pytest.mark.parametrize(("method", "path"), [("GET", "/setup"), ("PUT", "/"), ("GET", "/nothing")])
def test_reply_has_a_sentence_when_there_is_no_such_route(client, method, path):
    reply = client.open(path, method=method)
    assert_refused(reply, 404 if path == "/nothing" else 405)


def test_predict_answers_when_the_params_are_null(client):
    reply = client.post("/predict", json={"project": KEY, "tasks": [TASK], "params": None})
    assert reply.status_code == 200
    assert len(reply.json["results"]) == 1


def test_predict_is_400_when_the_classes_are_others_than_the_networks(client, journal):
    journal.update_project(KEY, label_config=LABEL_CONFIG)
    journal.open_round(round_state(key=KEY, classes=["cow", "pig"], checkpoint="no.safetensors"))
    reply = client.post("/predict", json={"project": KEY, "tasks": [TASK]})
    assert "the classes are now ['cat', 'dog']" in assert_refused(reply)


def test_predict_answers_without_results_when_what_is_stored_cannot_be_read(
    client, journal, tmp_path
):
    journal.update_project(KEY, label_config=LABEL_CONFIG)
    journal.open_round(round_state(key=KEY, classes=["cat", "dog"], checkpoint="no.safetensors"))
    reply = client.post("/predict", json={"project": KEY, "tasks": [TASK]})
    assert (reply.status_code, reply.json["results"][0]["result"]) == (200, [])
    assert str(tmp_path) not in reply.get_data(as_text=True)


def test_reply_names_nothing_when_the_journal_fails(client, tmp_path):
    with sqlite3.connect(tmp_path / "localhost_8080" / "journal.sqlite") as connection:
        connection.execute("DROP TABLE round")
    reply = client.get("/status")
    assert (reply.status_code, reply.json["projects"]) == (503, [])
    assert reply.json["error"] == "the journal is damaged: no such table: round"
    assert reply.json["troubles"] == [reply.json["error"]]
    sentence = assert_refused(client.get("/versions"), 503)
    assert sentence == "what is stored cannot be read or written; the log says more"


def test_reply_names_nothing_when_something_unexpected_happens(settings, journal):
    app = create_app(settings, journal, Predictor(settings, journal, lambda: None))
    app.add_url_rule("/fail", view_func=lambda: settings.model_dir.open())
    sentence = assert_refused(app.test_client().get("/fail"), 500)
    assert sentence == "unexpected error; the log says more"
