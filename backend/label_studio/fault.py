"""Whose failure it is when Label Studio does not hand out a file: the file's, or its own.

A status does not tell. Label Studio answers 500 to the URL of a deleted upload for ever, and 500 to
every URL while its disk or its database is in trouble; a server in front of it answers 429, 502 or
503 to some paths only. A file's own failure makes its task unreadable; Label Studio's makes the
step fail, which is tried again later. So, once a file could not be had in several attempts:

1. Label Studio does not know the token's user either: its own failure.
2. It has had too many requests (429): its own, whichever file was asked for.
3. The file that was had last is asked for again, or, where no other one was within REMEMBERED_S
   seconds, the path that serves such files, without naming one. No definite answer: its own.
4. A definite answer, also that this one is gone, means that Label Studio does its work. So the file
   is asked for one last time, since an outage may just have ended: the file's failure.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import httpx

from backend.errors import LabelStudioUnreachableError
from backend.label_studio.own_address import OwnAddress
from backend.label_studio.wording import shown_uri, token_refused

WHOAMI_PATH = "/api/current-user/whoami"
REMEMBERED_S = 600.0
TOO_MANY_REQUESTS = 429


def is_definite(status: int) -> bool:
    """Whether a status is an answer; other ones may be another the next time."""
    return status < 500 and status != TOO_MANY_REQUESTS


class FaultFinder:
    """Tells a file's failure from Label Studio's; may be used from many threads at once."""

    def __init__(self, own: OwnAddress, ask: Callable[[httpx.URL], int]) -> None:
        """ask: the status that Label Studio answers a URL, with the token; httpx.RequestError."""
        self._own = own
        self._ask = ask
        self._last_had = (-math.inf, own.url)

    def had(self, url: httpx.URL) -> None:
        """Note that a file of Label Studio's was had."""
        self._last_had = (time.monotonic(), url)

    def check(self, url: httpx.URL, failed: str, status: int | None) -> None:
        """Return where Label Studio does its work, although a file could not be had.

        Args:
            failed: what happened, in words.
            status: what Label Studio answered; None: nothing.

        Raises:
            LabelStudioUnreachableError: it is its own failure.
            LabelStudioUnauthorizedError: it does not accept the token any more.
        """
        where = f"Label Studio at {shown_uri(self._own.url)}"
        try:
            user_status = self._ask(self._own.at(WHOAMI_PATH))
        except httpx.RequestError as error:
            raise LabelStudioUnreachableError(
                f"{where} does not answer ({type(error).__name__}; before, {failed})"
            ) from error
        if user_status == 401:
            raise token_refused(self._own.url)
        if user_status != 200:
            raise LabelStudioUnreachableError(f"{where} answers {user_status} (before, {failed})")
        if status == TOO_MANY_REQUESTS:
            raise LabelStudioUnreachableError(f"{where} has had too many requests ({failed})")
        if not self._hands_out_files(url):
            raise LabelStudioUnreachableError(f"{where} hands out no files ({failed})")

    def _hands_out_files(self, url: httpx.URL) -> bool:
        had_at, last = self._last_had
        is_remembered = last != url and time.monotonic() - had_at < REMEMBERED_S
        try:
            return is_definite(self._ask(last if is_remembered else self._own.folder_of(url)))
        except httpx.RequestError:
            return False
