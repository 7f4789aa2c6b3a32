"""Label Studio's API for one user, as the demo and the tests call it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from backend.errors import LabelStudioError, LabelStudioUnreachableError

Result = TypeVar("Result")
TIMEOUT_S = 120.0
ATTEMPTS = 6
PAUSE_S = 1.0


class Api:
    """Requests to one Label Studio with one user's token."""

    def __init__(self, url: str, token: str) -> None:
        self.session = httpx.Client(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=TIMEOUT_S
        )

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The reply's JSON, None when it has no body.

        LabelStudioUnreachableError: a 5xx status, or no answer. LabelStudioError: any other but
        2xx.
        """
        reply = self._ask(method, path, **request)
        raise_for_status(reply)
        return reply.json() if reply.content else None

    def find(self, path: str) -> Any | None:
        """The JSON that GET answers, None for a 404; asked again while Label Studio is busy."""

        def once() -> Any | None:
            reply = self._ask("GET", path)
            if reply.status_code == httpx.codes.NOT_FOUND:
                return None
            raise_for_status(reply)
            return reply.json()

        return patiently(once)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self.session.request(method, path, **request)
        except httpx.TransportError as error:
            raise LabelStudioUnreachableError(
                f"{method} {path}: no answer ({type(error).__name__}: {error})"
            ) from error


def raise_for_status(reply: httpx.Response) -> None:
    """LabelStudioUnreachableError: a 5xx status. LabelStudioError: a 4xx. Quotes the reply."""
    if reply.is_success or reply.is_redirect:
        return
    kind = LabelStudioUnreachableError if reply.is_server_error else LabelStudioError
    request = f"{reply.request.method} {reply.request.url.path}"
    raise kind(f"{request}: {reply.status_code} {reply.text[:500]}")


def patiently(action: Callable[[], Result]) -> Result:
    """What `action` returns, tried again while Label Studio answers 5xx or not at all.

    On SQLite it answers "database is locked" to some of those who write at the same time.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return action()
        except LabelStudioUnreachableError:
            time.sleep(PAUSE_S)
    return action()
