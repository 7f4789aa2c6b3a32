"""What errors, logs and pages say of Label Studio and of images: never a secret."""

from __future__ import annotations

import re

import httpx

from backend.errors import LabelStudioUnauthorizedError

SHOWN_CHARACTERS = 120
LOCAL_FILES_PATH = "/data/local-files/"
SCHEME = r"(?:[a-z][a-z0-9+.-]*:)?//"
# User and password of a URL, also of one that is no valid URL or lacks its scheme.
CREDENTIALS = re.compile(rf"(?i)^(?:({SCHEME})[^/?#]*@|[^/?#@]*:[^/?#@]*@)")
# What follows the colon is no port: perhaps a password with one of `/?#` in it.
NO_PORT = re.compile(rf"(?is)^({SCHEME})(?!\[)[^/?#]*:(?![0-9]*(?:[/?#]|$)).*")


def shown_uri(uri: str | httpx.URL) -> str:
    """A URI as people may see it: no user, password, query or fragment, and not long.

    A query may hold a signature; only the path of a local file (`?d=`) stays. Of a `data:` URI the
    kind stays, of a URL whose port is none only the scheme: it may be part of a password.
    """
    text = str(uri)
    if text[:5].lower() == "data:":
        shown = text.partition(",")[0] + ",…"
    else:
        named = NO_PORT.sub(r"\1…", CREDENTIALS.sub(r"\1", text))
        path, _, query = named.partition("#")[0].partition("?")
        is_local_file = path.endswith(LOCAL_FILES_PATH) and query.startswith("d=")
        shown = path + "?" + query.partition("&")[0] if is_local_file else path
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[: SHOWN_CHARACTERS - 1] + "…"


def token_refused(label_studio_url: str | httpx.URL) -> LabelStudioUnauthorizedError:
    """The error that Label Studio's 401 stands for, with what to do."""
    return LabelStudioUnauthorizedError(
        f"Label Studio at {shown_uri(label_studio_url)} does not accept the token (401); "
        "LABEL_STUDIO_API_KEY needs a personal access token, or a legacy token where the "
        "organization allows those"
    )
