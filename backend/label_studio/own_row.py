"""Which row of a project's Model page leads to this backend.

The address in the row is how Label Studio reaches the backend. Where a proxy stands between, the
backend is called by another one; and what a call says of itself anybody can say. So the row is
known by what only this backend can answer there, and by its id from then on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

import httpx

from backend.errors import LabelStudioError
from backend.label_studio.client import MlBackend
from backend.label_studio.wording import shown_uri

HEALTH_PATH = "/health"
PROBE_S = 5.0
MAX_ANSWER_BYTES = 64 * 2**10
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Marks:
    """What this backend knows its row by.

    row_id, row_url: of the row that was found before, None and "" before one was.
    instance: what `/health` answers here and nowhere else.
    public_url: of the settings, "" for none.
    seen_url: the address that the last call came for.
    was_heard: whether a call of `/setup` came while Label Studio listed the rows, for which it
        calls every row's address.
    """

    row_id: int | None
    row_url: str
    instance: str
    public_url: str
    seen_url: str
    was_heard: bool


class Reached(Enum):
    """Who answers at a row's address, as far as can be told from here."""

    OURSELVES = "this backend"
    ANOTHER = "another ML backend"
    UNCLEAR = "nobody who could be told"


def own_row(rows: Sequence[MlBackend], marks: Marks) -> MlBackend | None:
    """The row that leads to this backend, None where none does.

    LabelStudioError: one does, but which one cannot be told.
    """
    for row in rows:
        if (row.id, row.url) == (marks.row_id, marks.row_url):
            return row
    for row in rows:
        if marks.public_url and is_same_address(row.url, marks.public_url):
            return row
    reached = {row.id: _reached(row.url, marks.instance) for row in rows}
    for row in rows:
        if reached[row.id] is Reached.OURSELVES:
            return row
    unclear = [row for row in rows if reached[row.id] is Reached.UNCLEAR]
    return _one_that_was_called(unclear, marks) if unclear and marks.was_heard else None


def _one_that_was_called(unclear: Sequence[MlBackend], marks: Marks) -> MlBackend:
    if len(unclear) == 1:
        return unclear[0]
    for row in unclear:
        if is_same_address(row.url, marks.seen_url):
            return row
    urls = ", ".join(shown_uri(row.url) for row in unclear)
    raise LabelStudioError(
        f"Label Studio reaches this backend by one of {urls}, but which one cannot be told; "
        "needed is ALFAMIX_PUBLIC_URL, the URL that was pasted"
    )


def is_same_address(one: str, other: str) -> bool:
    """Whether two URLs name the same host, port and path, however they are written."""
    return _address(one) is not None and _address(one) == _address(other)


def _address(url: str) -> tuple[str, int | None, str] | None:
    """Host, port (None for the scheme's own) and path; None for what is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if port == DEFAULT_PORTS.get(parts.scheme):
        port = None
    return (parts.hostname or "").rstrip("."), port, parts.path.rstrip("/")


def _reached(url: str, instance: str) -> Reached:
    try:
        answer = _health(url.rstrip("/") + HEALTH_PATH)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return Reached.UNCLEAR
    if not isinstance(answer, dict):
        return Reached.UNCLEAR
    return Reached.OURSELVES if answer.get("instance") == instance else Reached.ANOTHER


def _health(url: str) -> object:
    """The JSON that a URL answers, None for an error or a long answer. ValueError: it is none."""
    deadline = time.monotonic() + PROBE_S
    body = b""
    with httpx.stream("GET", url, timeout=PROBE_S) as reply:
        for chunk in reply.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                return None
    return json.loads(body) if reply.status_code == httpx.codes.OK else None
