"""A server that sends a byte now and then and never ends, as one that wants to hold its client."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
EVERY_S = 0.2


class DrippingServer:
    """`url`, and how many requests it is answering, of one that serves until its context ends."""

    def __init__(self, listener: socket.socket, begins_with: bytes) -> None:
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.begun = 0
        self._listener = listener
        self._begins_with = begins_with
        self._ended = threading.Event()

    def serve(self) -> None:
        """Answer until `end`."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def end(self) -> None:
        """Let go of all clients."""
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)

    def _drip(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            self.begun += 1
            connection.sendall(self._begins_with)
            while not self._ended.wait(EVERY_S):
                connection.sendall(b"a")


@contextmanager
def dripping_server(begins_with: bytes = HEAD) -> Iterator[DrippingServer]:
    """One on a free port of 127.0.0.1, for the length of a `with`.

    begins_with: what it sends at once; with less than a whole head it drips headers.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server = DrippingServer(listener, begins_with)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.end()
            thread.join()
