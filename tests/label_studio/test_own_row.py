"""Which row leads here, told from what its address answers; rows whose address does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from backend.errors import LabelStudioError
from backend.harness.child import free_port
from backend.label_studio.client import MlBackend
from backend.label_studio.own_row import Marks, is_same_address, own_row

OURS, THEIRS = {"status": "UP", "instance": "ours"}, {"status": "UP"}


def marks(**known: Any) -> Marks:
    values = {
        **{"row_id": None, "row_url": "", "instance": "ours", "public_url": ""},
        **{"seen_url": "http://backend:9090", "was_heard": True},
    }
    return Marks(**(values | known))


@pytest.fixture
def answering() -> Iterator[Callable[[object, int], str]]:
    """Makes servers whose /health answers some JSON, or else a page: their URLs."""
    servers: list[ThreadingHTTPServer] = []

    def make(answer: object, status: int = 200) -> str:
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/health" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def silent() -> str:
    """A URL at which nobody answers."""
    return f"http://127.0.0.1:{free_port()}"


def test_own_row_is_the_one_found_before_whoever_answers(answering):
    rows = [MlBackend(1, answering(OURS)), MlBackend(2, silent())]
    known = marks(row_id=2, row_url=rows[1].url, was_heard=False)
    assert own_row(rows, known) == rows[1]


def test_own_row_is_looked_for_anew_when_its_url_changed(answering):
    rows = [MlBackend(2, answering(THEIRS))]
    assert own_row(rows, marks(row_id=2, row_url="http://backend:9090")) is None


def test_own_row_is_that_of_the_public_url(answering):
    rows = [MlBackend(1, silent()), MlBackend(2, "https://Models.example.com:443/alfa/")]
    known = marks(public_url="https://models.example.com/alfa", was_heard=False)
    assert own_row(rows, known) == rows[1]


def test_own_row_is_the_one_that_answers_as_this_backend(answering):
    rows = [MlBackend(1, answering(THEIRS)), MlBackend(2, answering(OURS))]
    assert own_row(rows, marks(was_heard=False)) == rows[1]


def test_own_row_is_the_silent_one_by_which_label_studio_called(answering):
    rows = [MlBackend(1, answering(THEIRS)), MlBackend(2, silent())]
    assert own_row(rows, marks()) == rows[1]
    assert own_row(rows, marks(was_heard=False)) is None


@pytest.mark.parametrize("page", ["<html>log in</html>", "[]", "x" * 100_000])
def test_own_row_may_be_one_whose_answer_says_nothing(answering, page):
    rows = [MlBackend(1, answering(page))]
    assert own_row(rows, marks()) == rows[0]


def test_own_row_may_be_one_that_lets_nobody_in(answering):
    rows = [MlBackend(1, answering(THEIRS, 403))]
    assert own_row(rows, marks()) == rows[0]


def test_own_row_is_the_one_called_for_when_several_are_silent():
    rows = [MlBackend(1, silent()), MlBackend(2, silent())]
    assert own_row(rows, marks(seen_url=rows[1].url)) == rows[1]
    assert own_row(rows, marks(was_heard=False)) is None
    with pytest.raises(LabelStudioError, match="needed is ALFAMIX_PUBLIC_URL"):
        own_row(rows, marks())


def test_own_row_is_none_when_there_is_no_row():
    assert own_row([], marks()) is None


def test_own_row_is_none_when_others_answer_whatever_the_call_said(answering):
    # Anybody may call with the Host of another backend.
    rows = [MlBackend(1, answering(THEIRS))]
    assert own_row(rows, marks(seen_url=rows[0].url)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h:80", "http://h"),
        ("https://h:443/", "http://h"),
        ("http://H.example.com.", "http://h.example.com/"),
        ("http://[::1]:9090", "http://[::1]:9090/"),
    ],
)
def test_addresses_are_the_same_however_they_are_written(one, other):
    assert is_same_address(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://h:9090", "http://h:9091"),
        ("http://h/a", "http://h/b"),
        ("http://h:99999", "http://h:99999"),
        ("http://[", "http://["),
    ],
)
def test_addresses_differ(one, other):
    assert not is_same_address(one, other)
