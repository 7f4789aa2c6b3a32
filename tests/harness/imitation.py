"""An imitation of Label Studio's queue, served over HTTP, that remembers what it was asked.

It serves the first task that nobody labeled and no other user holds, as the running one does when
every task has one prediction of the project's version; it knows users by their token.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request."""

    user: str
    method: str
    path: str
    body: dict[str, Any]


@dataclass
class ImitationLabelStudio:
    """The state of one project with tasks of these ids; `version` None: no task has a prediction.

    busy: so many Submits are stored and then answered with 500, as SQLite's "database is locked".
    refused: a Submit of these tasks is answered with 400.
    silent: so many requests to a path are not answered, and nothing comes of them.
    most_asking: how many users asked for a task at the same time; they would get the same one.
    """

    task_ids: Sequence[int]
    version: str | None = "v1"
    busy: int = 0
    refused: Sequence[int] = ()
    silent: dict[str, int] = field(default_factory=dict)
    url: str = ""
    requests: list[Asked] = field(default_factory=list)
    holder: dict[int, str] = field(default_factory=dict)
    labels: dict[int, list[tuple[str, bool]]] = field(default_factory=dict)
    postponed: dict[int, str] = field(default_factory=dict)
    asking: int = 0
    most_asking: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Status and JSON of a request's answer."""
        with self._lock:
            self.requests.append(asked)
        if asked.path == "/api/projects/7/next":
            return self._next(asked.user)
        task_id = int(asked.path.split("/")[3])
        if asked.method == "GET":
            stored = enumerate(self.labels.get(task_id, []))
            return 200, [{"id": 100 * task_id + number} for number, _ in stored]
        if asked.path.endswith("/drafts"):
            self.postponed[task_id] = asked.user
            return 201, {"id": 7000 + task_id}
        return self._store(task_id, asked)

    def _next(self, user: str) -> tuple[int, Any]:
        with self._lock:
            self.asking += 1
            self.most_asking = max(self.most_asking, self.asking)
            free = [task_id for task_id in self.task_ids if self._is_free(task_id, user)]
        # Long enough for another user to ask meanwhile.
        threading.Event().wait(0.005)
        with self._lock:
            self.asking -= 1
            if not free:
                return 404, {"detail": "There are no tasks"}
            mine = [task_id for task_id in free if self.holder.get(task_id) == user]
            task_id = (mine or free)[0]
            self.holder[task_id] = user
            return 200, self._task(task_id)

    def _is_free(self, task_id: int, user: str) -> bool:
        stored = self.labels.get(task_id, [])
        is_done = any(who == user or not is_skip for who, is_skip in stored)
        is_postponed = self.postponed.get(task_id) == user
        return not is_done and not is_postponed and self.holder.get(task_id, user) == user

    def _task(self, task_id: int) -> dict[str, Any]:
        number = list(self.task_ids).index(task_id)
        prediction = {"id": 9000 + task_id, "model_version": self.version, "score": number / 10}
        predictions = [] if self.version is None else [prediction]
        return {"id": task_id, "data": {"truth": "cat"}, "predictions": predictions}

    def _store(self, task_id: int, asked: Asked) -> tuple[int, Any]:
        if task_id in self.refused:
            return 400, {"detail": f"task {task_id} is refused"}
        with self._lock:
            stored = self.labels.setdefault(task_id, [])
            stored.append((asked.user, bool(asked.body.get("was_cancelled"))))
            self.holder.pop(task_id, None)
            if self.busy > 0:
                self.busy -= 1
                return 500, {"detail": "database is locked"}
            return 201, {"id": 100 * task_id + len(stored) - 1}


@contextmanager
def imitation_label_studio(**state: Any) -> Iterator[ImitationLabelStudio]:
    """One that answers on a free port of 127.0.0.1, for the length of a `with`."""
    imitation = ImitationLabelStudio(**state)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            user = self.headers["Authorization"].removeprefix("Token ")
            if imitation.silent.get(self.path):
                imitation.silent[self.path] -= 1
                self.close_connection = True
                return
            status, found = imitation.answer(Asked(user, self.command, self.path, body))
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        imitation.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield imitation
        finally:
            http.shutdown()
            thread.join()
