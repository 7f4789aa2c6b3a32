"""Who may change something is asked until the moment when a request leaves."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backend.errors import LeaseLostError
from backend.label_studio.client import LabelStudioClient

TOKEN = "0123456789abcdef0123456789abcdef01234567"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Allowed:
    """A guard that lets a number of questions pass, as where the process stands still then."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise LeaseLostError("late")


@contextmanager
def listening_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Imitates a Label Studio: its URL, and what was sent on each connection."""
    received: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            place = len(received)
            received.append(b"")
            while data := self.request.recv(65536):
                received[place] += data
                if received[place].endswith(b"}"):
                    self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", received
        finally:
            server.shutdown()
            thread.join()


def bodies(received: list[bytes]) -> list[bytes]:
    """The bodies that arrived."""
    return [part for sent in received for part in sent.split(b"\r\n\r\n")[1:] if part]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_no_body_leaves_when_the_process_stood_still_before_it(times):
    with listening_server(BUSY) as (url, received):
        client = LabelStudioClient(url, TOKEN, retries=0).guarded(Allowed(times))
        with pytest.raises(LeaseLostError):
            client.update_project(1, model_version="late")
    assert bodies(received) == []


def test_second_try_of_a_request_asks_as_well():
    with listening_server(BUSY) as (url, received):
        client = LabelStudioClient(url, TOKEN, retries=1).guarded(Allowed(3))
        with pytest.raises(LeaseLostError):
            client.update_project(1, model_version="late")
    assert bodies(received) == [b'{"model_version":"late"}']
