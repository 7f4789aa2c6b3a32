"""Clients and image servers that take their time: nobody else waits for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from backend.label_studio.images import image_key
from backend.process.startup import open_journal, open_session
from backend.settings import Settings
from model_store.checkpoints import save_checkpoint
from model_store.project_folder import ProjectFolder, host_folder
from model_store.scores import Scores, write_scores
from tests.loop.conftest import wait_for
from tests.states import round_state
from tests.web.dripping_server import HEAD, dripping_server

KEY = "3.1700000000"
CLASSES = ["cat", "dog"]
LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
EACH = 30
PATIENCE_S = 60.0
HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: backend\r\nX-Slow: "
HALF_A_BODY = (
    b"POST /webhook HTTP/1.1\r\nHost: backend\r\nContent-Type: application/json\r\n"
    b'Content-Length: 1000\r\n\r\n{"action": '
)
NOTHING_YET = b""


@contextmanager
def slow_clients(url: str, beginnings: list[bytes]) -> Iterator[None]:
    """Connections that each sent a beginning and then no more."""
    parts = urlsplit(url)
    with ExitStack() as stack:
        for beginning in beginnings:
            address = (parts.hostname, parts.port)
            connection = stack.enter_context(socket.create_connection(address, PATIENCE_S))
            connection.sendall(beginning)
        yield


@pytest.mark.parametrize(
    "beginnings",
    [
        [HALF_A_HEAD] * EACH,
        [HALF_A_BODY] * EACH,
        [NOTHING_YET] * EACH,
        [HALF_A_HEAD, HALF_A_BODY, NOTHING_YET] * EACH,
    ],
    ids=["half a head", "half a body", "nothing", "all of them"],
)
def test_health_answers_when_many_clients_are_slow(start_web, beginnings):
    url = start_web()
    with slow_clients(url, beginnings):
        for _ in range(3):
            assert httpx.get(f"{url}/health", timeout=PATIENCE_S).status_code == 200


def test_connection_is_closed_when_its_request_never_ends(start_web):
    parts = urlsplit(start_web())
    with socket.create_connection((parts.hostname, parts.port), PATIENCE_S) as connection:
        connection.sendall(HALF_A_HEAD)
        assert connection.recv(100) == b""


def finished_round(settings: Settings, known_uri: str) -> None:
    """A project KEY whose round is done, with a score for one image: surely a dog."""
    journal = open_journal(settings)
    journal.note_setup(KEY, backend_url="http://backend", token="t", hostname="")
    journal.update_project(KEY, label_config=LABEL_CONFIG)
    state = round_state(key=KEY, classes=CLASSES, checkpoint="00000.safetensors")
    journal.open_round(state)
    folder = ProjectFolder(host_folder(settings.model_dir, settings.label_studio_url) / KEY)
    scores = Scores.of(np.array([image_key(known_uri)]), np.array([[0.1, 0.9]]))
    write_scores(folder.scores_file(state.number), scores)
    session = open_session(settings)
    embeddings = np.eye(2, session.embedding_dim, dtype=np.float32)
    trained = session.fit_head(session.pretrained(), embeddings, np.array([0, 1]), 2, seed=0)
    save_checkpoint(folder.checkpoints, "00000", trained.tensors, trained.card)
    journal.close()


def results_of(url: str, uri: str) -> list[dict]:
    """The results of `/predict` for one task."""
    body = {"project": KEY, "tasks": [{"id": 1, "data": {"image": uri}}]}
    reply = httpx.post(f"{url}/predict", json=body, timeout=PATIENCE_S)
    return reply.raise_for_status().json()["results"]


@pytest.mark.parametrize("begins_with", [HEAD, HEAD[:20]], ids=["body", "head"])
def test_stored_answers_come_when_image_servers_drip(start_web, tmp_path, begins_with):
    known = "/data/upload/1/known.png"
    with dripping_server(begins_with) as label_studio, ThreadPoolExecutor(20) as askers:
        settings = Settings(
            label_studio_url=label_studio.url, model_dir=tmp_path, backbone="bundled", device="cpu"
        )
        finished_round(settings, known)
        url = start_web(LABEL_STUDIO_URL=label_studio.url)
        uris = [f"/data/upload/1/{number}.png" for number in range(20)]
        waiting = [askers.submit(results_of, url, uri) for uri in uris]
        wait_for("an image to be asked for", lambda: label_studio.begun)
        assert httpx.get(f"{url}/health", timeout=PATIENCE_S).status_code == 200
        assert results_of(url, known)[0]["result"][0]["value"]["choices"] == ["dog"]
        assert [answer.result()[0]["result"] for answer in waiting] == [[]] * 20
