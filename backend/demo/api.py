"""Label Studio's API for one user, as the demo and the tests call it."""

from __future__ import annotations

from typing import Any

import httpx

from backend.errors import LabelStudioError

TIMEOUT_S = 120.0


class Api:
    """Requests to one Label Studio with one user's token."""

    def __init__(self, url: str, token: str) -> None:
        self.session = httpx.Client(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=TIMEOUT_S
        )

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The reply's JSON, None when it has no body.

        LabelStudioError: any status but 2xx; quotes the reply.
        """
        reply = self.session.request(method, path, **request)
        if not reply.is_success:
            raise LabelStudioError(f"{method} {path}: {reply.status_code} {reply.text[:500]}")
        return reply.json() if reply.content else None

    def close(self) -> None:
        """Close the connections."""
        self.session.close()
