"""The proxy in front of a server that tells what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from backend.harness.child import free_port
from backend.harness.proxy import Failure, Proxy, every

asked: list[tuple[str, str]] = []
eight = threading.Barrier(8)


class Telling(BaseHTTPRequestHandler):
    """Answers 203 with the request as JSON; at /together once eight are asking."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        asked.append((self.command, self.path))
        if self.path == "/together":
            eight.wait(timeout=60)
        told = [self.command, self.path, self.headers.get("X-Sent"), body]
        content = json.dumps(told).encode()
        self.send_response(203)
        self.send_header("X-Answered", "yes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Telling) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with Proxy(f"http://127.0.0.1:{http.server_port}") as proxy:
            yield proxy
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_requests_and_answers_arrive_as_they_were_sent(proxy: Proxy, method: str) -> None:
    with httpx.Client(base_url=proxy.url, headers={"X-Sent": "this"}) as client:
        replies = [client.request(method, "/a%20b?c=%2Fd", content=b"body") for _ in range(2)]

    for reply in replies:
        assert (reply.status_code, reply.headers["X-Answered"]) == (203, "yes")
        assert reply.json() == [method, "/a%20b?c=%2Fd", "this", "body"]


def test_requests_wait_beside_each_other(proxy: Proxy) -> None:
    proxy.delay_s = 0.5

    def took_s(_number: int) -> float:
        since = time.monotonic()
        httpx.get(f"{proxy.url}/together", timeout=60).raise_for_status()
        return time.monotonic() - since

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(took_s, range(8))) >= 0.5


@pytest.mark.parametrize(
    ("failure", "failed", "arrived"),
    [
        (Failure.REFUSED, 500, 2),
        (Failure.BUSY, 429, 2),
        (Failure.REDIRECTED, 302, 2),
        (Failure.CUT, None, 2),
        (Failure.LOST, None, 3),
        (Failure.STORED, 500, 3),
        (Failure.HALVED, 203, 3),
    ],
)
def test_every_second_post_to_a_path_fails(
    proxy: Proxy, failure: Failure, failed: int | None, arrived: int
) -> None:
    proxy.fails = every(2, "/here", failure)

    def post(path: str) -> int | None:
        try:
            return httpx.post(proxy.url + path, timeout=60).status_code
        except httpx.RemoteProtocolError:
            return None

    assert [post("/here") for _ in range(3)] == [203, failed, 203]
    assert asked == [("POST", "/here")] * arrived
    assert httpx.get(f"{proxy.url}/here").status_code == 203
    assert post("/there") == 203


def test_half_of_an_answer_comes(proxy: Proxy) -> None:
    whole = httpx.get(f"{proxy.url}/here").content
    proxy.fails = lambda _method, _path: Failure.HALVED
    assert httpx.get(f"{proxy.url}/here").content == whole[: len(whole) // 2]


def test_connection_ends_when_the_server_is_gone() -> None:
    with (
        Proxy(f"http://127.0.0.1:{free_port()}") as proxy,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.get(proxy.url)
