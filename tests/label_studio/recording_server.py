"""A local HTTP server that answers as told and remembers what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """An answer; a body of None closes the connection without any answer."""

    status: int = 200
    body: bytes | None = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What was asked for; `target` is path and query as sent."""

    target: str
    headers: dict[str, str]
    client_port: int


Answer = Callable[[Request], Reply]


class RecordingServer:
    """`replies[path]` is a Reply, a list of Replies for one request each, or a function."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.replies: dict[str, Reply | list[Reply] | Answer] = {}
        self.requests: list[Request] = []

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    @property
    def tokens(self) -> list[str | None]:
        """The Authorization header of each request."""
        return [request.headers.get("authorization") for request in self.requests]

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self.replies.get(request.target.partition("?")[0], Reply(404))
        if isinstance(reply, list):
            return reply.pop(0)
        return reply if isinstance(reply, Reply) else reply(request)


def _handler(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = answer(Request(self.path, headers, self.client_address[1]))
            if reply.body is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            length = {"Content-Length": str(len(reply.body))}
            is_chunked = "Transfer-Encoding" in reply.headers
            for name, value in (({} if is_chunked else length) | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """A server on a free port of 127.0.0.1, for the length of a `with`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up early is part of the tests."""

    with Server(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        server = RecordingServer(http.server_port)
        http.RequestHandlerClass = _handler(server.answer)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
