"""The HTTP surface with a journal and no Label Studio: what is recorded and what is answered."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient
from requests.auth import HTTPBasicAuth

from backend import __version__
from backend.process.startup import open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from model_store.journal import Journal, RoundState, UnreadableTask
from tests.states import mirrored_task, queued_task, round_state

KEY = "3.1700000000"
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
PROJECT = {"id": 3, "created_at": "2023-11-14T22:13:20.000000Z", "label_config": LABEL_CONFIG}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path)


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return open_journal(settings)


def client_of(settings: Settings, journal: Journal) -> FlaskClient:
    def no_network():
        raise AssertionError("the network is not needed here")

    return create_app(settings, journal, Predictor(settings, journal, no_network)).test_client()


@pytest.fixture
def client(settings: Settings, journal: Journal) -> FlaskClient:
    return client_of(settings, journal)


def round_of(number: int, phase: str) -> RoundState:
    return round_state(number, phase, key=KEY, seconds={"select": 1.5})


def connect(client: FlaskClient) -> None:
    body = {"project": KEY, "schema": LABEL_CONFIG, "hostname": "http://ls", "access_token": "t"}
    assert client.post("/setup", json=body).status_code == 200


def test_setup_notes_address_and_host_when_label_studio_connects(client, journal):
    connect(client)
    state = journal.project(KEY)
    assert (state.project_id, state.changed) == (3, 1)
    assert (state.backend_url, state.hostname) == ("http://localhost", "http://ls")


def test_setup_connects_nothing_before_label_studio_confirms_it(client, journal):
    connect(client)
    assert not journal.project(KEY).connected
    assert client.get("/status").json["projects"][0]["connected"] is False


def test_setup_is_400_when_the_project_is_a_bare_id(client, journal):
    # The journal's key holds the creation time too: an id is given again after a deletion.
    reply = client.post("/setup", json={"project": "3", "schema": LABEL_CONFIG})
    assert reply.status_code == 400
    assert "id.createdEpoch" in reply.json["error"]
    assert journal.projects() == []


@pytest.mark.parametrize(
    "action",
    ["ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "TASKS_CREATED", "PROJECT_UPDATED"],
)
def test_webhook_notes_a_change_when_any_event_comes(client, journal, action):
    reply = client.post("/webhook", json={"action": action, "project": PROJECT})
    assert reply.status_code == 201
    assert journal.project(KEY).changed == 1
    assert not journal.project(KEY).training_requested


def test_webhook_notes_a_change_when_a_header_names_the_project(client, journal):
    named = {"X-Alfa-Mix-Project": KEY}
    reply = client.post("/webhook", json={"action": "ANNOTATION_CREATED"}, headers=named)
    assert reply.status_code == 201
    assert journal.project(KEY).changed == 1


def test_webhook_names_what_is_missing_when_neither_payload_nor_header_names_the_project(client):
    reply = client.post("/webhook", json={"action": "ANNOTATION_CREATED"})
    assert reply.status_code == 400
    assert "(its fields: ['action'])" in reply.json["error"]


def test_webhook_notes_the_request_when_training_is_started(client, journal):
    client.post("/webhook", json={"action": "START_TRAINING", "project": PROJECT})
    assert journal.project(KEY).training_requested


def test_versions_are_those_the_queues_follow_by_get_and_post(client, journal):
    connect(client)
    journal.open_round(round_of(0, "done"))
    journal.open_round(round_of(1, "train"))
    assert client.get("/versions").json == {"versions": ["alfa-mix r0 · 0 labels"]}
    assert client.post("/versions", json={}).json == {"versions": ["alfa-mix r0 · 0 labels"]}


def test_setup_and_predict_answer_the_same_version(client, journal):
    # Label Studio stores another prediction each time they differ.
    connect(client)
    journal.open_round(round_of(0, "done"))
    body = {"project": KEY, "schema": LABEL_CONFIG}
    version = client.post("/setup", json=body).json["model_version"]
    ask = {"project": KEY, "label_config": LABEL_CONFIG, "tasks": [{"id": 1, "data": {}}]}
    results = client.post("/predict", json=ask).json["results"]
    assert results == [{"result": [], "score": 1.0, "model_version": version}]
    assert version == "alfa-mix r0 · 0 labels"


def test_is_training_and_job_status_follow_the_open_round(client, journal):
    connect(client)
    state = round_of(0, "select")
    journal.open_round(state)
    assert client.get(f"/is_training?project={KEY}").json == {"is_training": True}
    assert client.post("/job_status", json={"job": KEY}).json["job_status"] == "started"
    journal.update_round(state, phase="done")
    assert client.get(f"/is_training?project={KEY}").json == {"is_training": False}
    assert client.post("/job_status", json={"job": KEY}).json["job_status"] == "finished"
    assert client.post("/job_status", json={"job": "9.9"}).status_code == 410


def test_is_training_when_a_network_is_trained_behind_the_queue(client, journal):
    connect(client)
    journal.open_round(round_of(0, "done"))
    journal.set_background(KEY, "train", 3, 60)
    assert client.get(f"/is_training?project={KEY}").json == {"is_training": True}


@pytest.fixture
def clocked(settings, tmp_path):
    """A connected project in a journal whose clock a test sets: now, journal, client."""
    now = [100.0]
    journal = Journal.in_folder(tmp_path / "clock", clock=lambda: now[0])
    client = client_of(settings, journal)
    connect(client)
    return now, journal, client


def test_status_lists_batch_and_reserve_in_rank_order(clocked):
    _now, journal, client = clocked
    state = round_of(0, "done")
    journal.open_round(state)
    journal.add_to_queue(state, [queued_task(1, 20), queued_task(0, 30)])
    journal.add_to_queue(state, [queued_task(2, 10, is_reserve=True)])
    project = client.get("/status").json["projects"][0]
    assert (project["batch"], project["reserve"]) == ([30, 20], [10])


def test_status_tells_the_time_left_of_what_the_queue_waits_for(clocked):
    now, journal, client = clocked
    journal.set_phase(KEY, "embed", 0, 40)
    now[0] = 110.0
    journal.set_phase(KEY, "embed", 10, 40)
    project = client.get("/status").json["projects"][0]
    assert project["progress"] == {"done": 10, "total": 40}
    # 10 of 40 took 10 s, so the other 30 take 30 s.
    assert project["eta_s"] == 30.0
    assert project["background"] is None


def test_status_tells_what_is_computed_behind_the_queue(clocked):
    now, journal, client = clocked
    journal.set_phase(KEY, "annotate", 2, 10)
    journal.set_background(KEY, "train", 0, 60)
    now[0] = 130.0
    journal.set_background(KEY, "train", 20, 60)
    project = client.get("/status").json["projects"][0]
    expected = {"phase": "train", "progress": {"done": 20, "total": 60}, "eta_s": 60.0}
    assert (project["phase"], project["background"]) == ("annotate", expected)


def test_status_lists_what_cannot_be_read_with_reasons_and_no_secrets(clocked):
    _now, journal, client = clocked
    signed = "https://u:p@bucket.example.com/a.png?X-Amz-Signature=123"
    journal.tasks.put(KEY, [mirrored_task(5, uri=None, image_key=None, problem="no image field")])
    journal.note_unreadable(KEY, [UnreadableTask(3, signed, "403", 100.0)])
    found = client.get("/status").json["projects"][0]["unreadable"]
    assert found == [
        {"task_id": 3, "uri": "https://bucket.example.com/a.png", "reason": "403"},
        {"task_id": 5, "uri": "", "reason": "no image field"},
    ]


def test_status_names_the_version(client):
    assert client.get("/status").json["version"] == __version__


def test_metrics_are_prometheus_text_when_a_project_is_connected(client, journal):
    connect(client)
    journal.open_round(round_of(0, "done"))
    journal.update_project(KEY, labeled=7)
    text = client.get("/metrics").get_data(as_text=True)
    assert 'alfamix_tasks_labeled{project="3"} 7.0' in text
    assert 'alfamix_round_seconds{project="3",step="select"} 1.5' in text


def sent_by_label_studio(user: str, password: str) -> str:
    """The header that its ML API client sends: `requests` makes it of an HTTPBasicAuth."""
    request = requests.Request("GET", "http://backend/health", auth=HTTPBasicAuth(user, password))
    return request.prepare().headers["Authorization"]


def sent_by_curl(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("sent_by", [sent_by_label_studio, sent_by_curl])
def test_every_page_but_health_is_refused_when_credentials_are_set(settings, journal, sent_by):
    client = client_of(replace(settings, basic_auth_user="ls", basic_auth_pass="sésame"), journal)
    right, wrong = sent_by("ls", "sésame"), sent_by("ls", "sesame")
    assert client.get("/health").status_code == 200
    for path in ("/status", "/metrics", "/versions"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": wrong}).status_code == 401
        assert client.get(path, headers={"Authorization": right}).status_code == 200
    body = {"action": "ANNOTATION_CREATED", "project": PROJECT}
    assert client.post("/webhook", json=body).status_code == 401
    assert journal.projects() == []


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic é", "Bearer bHM6c8OpIA==", "x"])
def test_page_is_refused_when_the_credentials_cannot_be_read(settings, journal, header):
    client = client_of(replace(settings, basic_auth_user="ls", basic_auth_pass="sésame"), journal)
    assert client.get("/status", headers={"Authorization": header}).status_code == 401


def test_health_says_up_and_its_own_name_without_paths(client, journal, tmp_path):
    reply = client.get("/health")
    assert reply.json["status"] == "UP"
    assert reply.json["instance"] == journal.instance()
    assert str(tmp_path) not in reply.get_data(as_text=True)
