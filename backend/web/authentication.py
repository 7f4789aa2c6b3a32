"""HTTP Basic authentication with the settings' user and password."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable

from flask import Response, request

from backend.settings import Settings
from backend.web.negotiation import wants_page

# Label Studio sends Latin-1 (its `requests` does), browsers and curl send UTF-8.
ENCODINGS = ("latin-1", "utf-8")
CHALLENGE = {"WWW-Authenticate": 'Basic realm="ML backend"'}


def authentication(settings: Settings) -> Callable[[], Response | None]:
    """What refuses a request without the credentials of the settings; None lets it pass."""
    pair = f"{settings.basic_auth_user}:{settings.basic_auth_pass}"
    expected = [pair.encode(encoding) for encoding in ENCODINGS]

    def authenticate() -> Response | None:
        if not settings.basic_auth_user or _is_open():
            return None
        given = _credentials(request.headers.get("Authorization", ""))
        if any(hmac.compare_digest(given, each) for each in expected):
            return None
        return Response("BASIC_AUTH_USER and BASIC_AUTH_PASS are needed here", 401, CHALLENGE)

    return authenticate


def _is_open() -> bool:
    """Whether it is only asked how the backend is: a container's health check has no credentials.

    To a browser the same address shows the projects.
    """
    return request.path == "/health" or (request.path == "/" and not wants_page(request))


def _credentials(header: str) -> bytes:
    """User and password as they were sent, with a colon between; empty where there are none."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
