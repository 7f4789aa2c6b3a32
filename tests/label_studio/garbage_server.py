"""A local HTTP server that answers every request with the same thing, whatever was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Garbage:
    """The answer; `length` is announced, where another than the body's is.

    requests: method and path of each request.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def garbage_server(garbage: Garbage) -> Iterator[Garbage]:
    """One that answers on a free port of 127.0.0.1, for the length of a `with`."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            garbage.requests.append((self.command, self.path.partition("?")[0]))
            self.send_response(garbage.status)
            for name, value in garbage.headers.items():
                self.send_header(name, value)
            length = len(garbage.body) if garbage.length is None else garbage.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(garbage.body)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        garbage.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield garbage
        finally:
            http.shutdown()
            thread.join()
