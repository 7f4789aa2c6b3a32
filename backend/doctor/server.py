"""Label Studio itself: whether it answers, which release it is, and whose token it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from backend.doctor.findings import Finding, fail, note, ok
from backend.errors import (
    AlfaMixError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.wording import shown_uri
from backend.settings import Settings

TESTED_RELEASE = "1.23"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
IN_CONTAINER = Path("/.dockerenv")
NEW_TOKEN = (
    "create a personal access token in Label Studio (Account & Settings), then "
    "LABEL_STUDIO_API_KEY=<token>"
)


def examine_server(settings: Settings, sent_token: str = "") -> Iterator[Finding]:
    """Findings about Label Studio; the last one is a FAIL where no project can be looked at.

    sent_token: that of a connected project, for where none is configured.
    """
    token = settings.label_studio_api_key or sent_token
    url = settings.label_studio_url
    yield from _proxy(url)
    try:
        # The SDK asks for a personal access token's short-lived one at once.
        client = LabelStudioClient(url, token, timeout_s=10.0, retries=0)
        release = client.version()
        email = client.user_email()
    except LabelStudioUnreachableError as error:
        yield fail("Label Studio", str(error), _where_else(url))
        return
    except LabelStudioUnauthorizedError as error:
        yield fail("token", str(error), NEW_TOKEN)
        return
    except AlfaMixError as error:
        yield fail("Label Studio", str(error), "LABEL_STUDIO_URL=<its address>")
        return
    yield _release(url, release)
    origin = "" if settings.label_studio_api_key else ", which Label Studio sent"
    yield ok("token", f"a {_kind(token)}, of {email}{origin}")


def _release(url: str, release: str) -> Finding:
    text = f"{release} answers at {shown_uri(url)}"
    if release.startswith(f"{TESTED_RELEASE}."):
        return ok("Label Studio", text)
    return note("Label Studio", text, f"this backend was tried with {TESTED_RELEASE}")


def _kind(token: str) -> str:
    """A personal access token is a JWT; a legacy one is 40 hexadecimal digits."""
    return "personal access token" if token.count(".") == 2 else "legacy token"


def _proxy(url: str) -> Iterator[Finding]:
    """What environment variables put between the backend and Label Studio."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        yield note(
            "proxy",
            f"{shown_uri(url)} is asked through {shown_uri(proxy)}",
            f"if that is not wanted: NO_PROXY={parts.hostname}",
        )


def _where_else(url: str) -> str:
    host = urlsplit(url).hostname
    if host in LOCAL_NAMES and _is_in_container():
        return (
            f"in a container {host} is the container itself: "
            "LABEL_STUDIO_URL=http://label-studio:8080 (the name of its service), or "
            "LABEL_STUDIO_URL=http://host.docker.internal:8080 where it runs on the host"
        )
    return "start Label Studio, or LABEL_STUDIO_URL=<its address as seen from here>"


def _is_in_container() -> bool:
    return IN_CONTAINER.exists() or "KUBERNETES_SERVICE_HOST" in os.environ
