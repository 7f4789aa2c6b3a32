"""A way to a server on which requests take long or fail, as on a bad network or a busy server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import httpx

TIMEOUT_S = 120.0
# Headers that hold for one connection, or for the body as it was on the wire.
NOT_PASSED_ON = (
    *("host", "connection", "keep-alive", "transfer-encoding"),
    *("content-length", "content-encoding"),
)


class Failure(Enum):
    """What becomes of a request that fails."""

    REFUSED = "answered with 500, and not passed on"
    BUSY = "answered with 429, and not passed on"
    REDIRECTED = "answered with the way to a login page, and not passed on"
    CUT = "never answered, and not passed on"
    LOST = "passed on, and never answered"
    STORED = "passed on, and answered with 500"
    HALVED = "passed on, and half of its answer's body is all that comes"


# What is answered instead.
ANSWERS = {
    Failure.REFUSED: httpx.Response(HTTPStatus.INTERNAL_SERVER_ERROR),
    Failure.STORED: httpx.Response(HTTPStatus.INTERNAL_SERVER_ERROR),
    Failure.BUSY: httpx.Response(HTTPStatus.TOO_MANY_REQUESTS),
    Failure.REDIRECTED: httpx.Response(HTTPStatus.FOUND, headers={"Location": "/user/login/"}),
}
PASSED_ON = (None, Failure.LOST, Failure.STORED, Failure.HALVED)

# How a request of a method and a path fails; None: it does not.
Fails = Callable[[str, str], Failure | None]


def never(_method: str, _path: str) -> Failure | None:
    """None: no request fails."""
    return None


def every(nth: int, path: str, failure: Failure) -> Fails:
    """The failure of every `nth` POST to a path, None of all other requests."""
    posts = count(1)

    def fails(method: str, asked: str) -> Failure | None:
        is_counted = method == "POST" and asked == path
        return failure if is_counted and next(posts) % nth == 0 else None

    return fails


class Proxy:
    """Passes requests on to a server, from a port of its own of 127.0.0.1, as long as its context.

    delay_s: how long each request waits, beside the others, before it is passed on or fails.
    fails: which requests fail, and how. Both may be set at any time.
    """

    def __init__(self, server_url: str) -> None:
        self.delay_s = 0.0
        self.fails: Fails = never
        self._client = httpx.Client(base_url=server_url, timeout=TIMEOUT_S)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._has_ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._client.close()

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> httpx.Response | None:
        """What the server says; None: nothing, the connection ends."""
        self._has_ended.wait(self.delay_s)
        failure = self.fails(method, path)
        if failure not in PASSED_ON:
            return ANSWERS.get(failure)
        try:
            reply = self._client.request(method, path, headers=headers, content=body)
        except httpx.TransportError:
            return None
        if failure is Failure.HALVED:
            return _halved(reply)
        return reply if failure is None else ANSWERS.get(failure)


def _handler_of(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = _passed_on(self.headers.items())
            reply = proxy.answer(self.command, self.path, headers, body)
            if reply is None:
                self.close_connection = True
                return
            self.send_response_only(reply.status_code)
            for name, value in _passed_on(reply.headers.items()).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _halved(reply: httpx.Response) -> httpx.Response:
    content = reply.content[: len(reply.content) // 2]
    return httpx.Response(
        reply.status_code, headers=_passed_on(reply.headers.items()), content=content
    )


def _passed_on(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in NOT_PASSED_ON}
