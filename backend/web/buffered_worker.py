"""gunicorn's worker class here: its threads see whole requests and never wait for a client.

gunicorn's own threaded worker reads a request from its connection in the thread that answers it, so
a client that sends half of one holds a thread for good. Here waitress reads: one loop takes in what
all connections send, a request goes to a thread when it is whole, and a connection that stands
still is closed.
"""

from __future__ import annotations

import os
from typing import Any

from gunicorn.workers.base import Worker
from waitress import create_server, wasyncore

from backend.web.bodies import MAX_PREDICT_BYTES

LOOK_EVERY_S = 1.0
# Each takes a descriptor, and up to two more while it sends or is sent a large body: below the
# 1,024 that a process may usually have.
CONNECTIONS = 300
IDLE_S = 20
MAX_HEAD_BYTES = 64 * 2**10


class BufferedWorker(Worker):
    """Serves the app's requests in `threads` threads."""

    def run(self) -> None:
        """Serve until gunicorn says to stop, then let the requests at hand be answered."""
        connections: dict[int, Any] = {}
        server = create_server(
            self.wsgi,
            map=connections,
            sockets=[listener.sock for listener in self.sockets],
            threads=self.cfg.threads,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_S,
            cleanup_interval=IDLE_S // 4,
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=MAX_PREDICT_BYTES,
            ident=None,
        )
        while self.alive and os.getppid() == self.ppid:
            self.notify()
            wasyncore.loop(LOOK_EVERY_S, use_poll=True, map=connections, count=1)
        server.task_dispatcher.shutdown(timeout=self.cfg.graceful_timeout)
