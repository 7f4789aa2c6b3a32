"""One file over HTTP, from Label Studio with its token or from any other server without it.

Redirects are followed by hand, and whether the token is sent and whether the address may be asked
at all is decided anew for each; cookies are never kept, because they do not tell ports apart and
Label Studio's session cookie is as good as a token. Error messages carry a URL as `shown_uri` shows
it, and nothing of what was answered: it may be somebody's secret.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from backend.errors import ImageError
from backend.label_studio.address_guard import AddressGuard, PeerCheck
from backend.label_studio.fault import FaultFinder, is_definite
from backend.label_studio.own_address import DEFAULT_PORTS, OwnAddress, origin_of
from backend.label_studio.wording import shown_uri

MAX_REDIRECTS = 5
RETRY_PAUSES_S = (0.2, 0.8)
KEPT_CONNECTIONS = 32
LOST_CONNECTION = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
# A body may take this many times the timeout: a server that drips must not hold a thread for good.
BODY_TIMEOUTS = 10
LABEL_STUDIO_PATH = re.compile(r"/data/(upload|local-files)/")
OWN_HINTS = (
    (404, "/presign/", "no cloud storage connected to the project has this bucket"),
    (404, "/data/local-files/", "no such file, or no local storage of a project holds its folder"),
    (500, "/data/upload/", "the uploaded file may have been deleted"),
)
HTML_START = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
SNIFFED_BYTES = 4096


class _DoubtfulError(Exception):
    """Not sure to be the file's own failure.

    may_pass: whether another attempt is worth while at once.
    status: what was answered, None where nothing was.
    """

    def __init__(self, reason: str, *, may_pass: bool, status: int | None = None) -> None:
        super().__init__(reason)
        self.may_pass = may_pass
        self.status = status


class Downloader:
    """HTTP GET with redirects, retries and limits; may be called from many threads at once."""

    def __init__(
        self,
        label_studio_url: str,
        authorize: Callable[[], dict[str, str]],
        guard: AddressGuard,
        *,
        timeout_s: float,
        max_bytes: int,
    ) -> None:
        """guard: what may be asked besides Label Studio. See ImageFetcher for the others."""
        self._own = OwnAddress(label_studio_url)
        self._fault = FaultFinder(self._own, self._own_status)
        self._authorize = authorize
        self._guard = guard
        self._max_bytes = max_bytes
        self._body_timeout_s = BODY_TIMEOUTS * timeout_s
        self._http = httpx.Client(
            verify=_certificates(),
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_s, pool=None),
            limits=httpx.Limits(max_keepalive_connections=KEPT_CONNECTIONS),
            headers={"Accept": "image/*,*/*;q=0.8", "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    def get(self, url: httpx.URL) -> bytes:
        """The body at the end of all redirects.

        Raises:
            ImageError: this file cannot be had, and why.
            LabelStudioUnreachableError: Label Studio does not answer, or hands out no files.
            LabelStudioUnauthorizedError: Label Studio does not accept the token.
        """
        for _ in range(MAX_REDIRECTS + 1):
            try:
                answer = self._answer(url)
            except ImageError as error:
                hint = self._foreign_hint(url)
                if not hint:
                    raise
                raise ImageError(f"{error}; {hint}") from error
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise ImageError(f"more than {MAX_REDIRECTS} redirects, the last one to {shown_uri(url)}")

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def _answer(self, url: httpx.URL) -> bytes | httpx.URL:
        """The body, or where a redirect leads; what may be another answer is asked for again."""
        pauses_s = iter(RETRY_PAUSES_S)
        while True:
            try:
                return self._attempt(url)
            except _DoubtfulError as error:
                pause_s = next(pauses_s, None) if error.may_pass else None
                if pause_s is None:
                    return self._last_attempt(url, error)
            time.sleep(pause_s)

    def _last_attempt(self, url: httpx.URL, error: _DoubtfulError) -> bytes | httpx.URL:
        """The body after all, of a file that failed in every attempt, or whose failure it is."""
        failed = f"{error} from {shown_uri(url)}{self._own_hint(url, error.status)}"
        if not self._own.holds(url):
            raise ImageError(failed) from error
        self._fault.check(url, failed, error.status)
        try:
            return self._attempt(url)
        except _DoubtfulError:
            raise ImageError(failed) from error

    def _attempt(self, url: httpx.URL) -> bytes | httpx.URL:
        return self._own_file(url) if self._own.holds(url) else self._foreign_file(url)

    def _own_file(self, url: httpx.URL) -> bytes | httpx.URL:
        # httpx would replace the token by a user and password.
        url = url.copy_with(username="", password="")
        if not self._own.serves_file(url):
            return self._asked(url, {}, {})
        answer = self._asked(url, self._authorize(), {})
        self._fault.had(url)
        return answer

    def _foreign_file(self, url: httpx.URL) -> bytes | httpx.URL:
        scheme, host, port = origin_of(url)
        if scheme not in DEFAULT_PORTS or not host:
            raise ImageError(f"redirected to {shown_uri(url)}, needed is http:// or https://")
        self._guard.check_host(host, port)
        return self._asked(url, {}, {"trace": PeerCheck(host, self._guard)})

    def _asked(
        self, url: httpx.URL, headers: dict[str, str], extensions: dict[str, Any]
    ) -> bytes | httpx.URL:
        """The body of one answer, or where it redirects to."""
        try:
            with self._http.stream("GET", url, headers=headers, extensions=extensions) as response:
                if response.has_redirect_location:
                    return url.join(response.headers["Location"])
                self._check_status(response.status_code, url)
                return self._image_body(response, url)
        except (httpx.RequestError, OSError) as error:
            raise _doubt(error) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ImageError(f"{shown_uri(url)} or where it redirects is no valid URL") from error

    def _check_status(self, status: int, url: httpx.URL) -> None:
        if status == 200:
            return
        is_refused_token = status == 401 and self._own.serves_file(url)
        if is_refused_token or not is_definite(status):
            raise _DoubtfulError(f"HTTP {status}", may_pass=not is_refused_token, status=status)
        raise ImageError(f"HTTP {status} from {shown_uri(url)}{self._own_hint(url, status)}")

    def _image_body(self, response: httpx.Response, url: httpx.URL) -> bytes:
        body = self._limited_body(response, url)
        if HTML_START.match(body[:SNIFFED_BYTES]):
            raise ImageError(
                f"an HTML page instead of an image from {shown_uri(url)}, perhaps a login page"
            )
        return body

    def _limited_body(self, response: httpx.Response, url: httpx.URL) -> bytes:
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            raise ImageError(f"{announced} bytes, the limit is {self._max_bytes}: {shown_uri(url)}")
        deadline = time.monotonic() + self._body_timeout_s
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self._max_bytes:
                raise ImageError(
                    f"more than the limit of {self._max_bytes} bytes: {shown_uri(url)}"
                )
            if time.monotonic() > deadline:
                raise ImageError(f"took longer than {self._body_timeout_s:.0f} s: {shown_uri(url)}")
        return bytes(body)

    def _own_status(self, url: httpx.URL) -> int:
        """The status that Label Studio answers one of its URLs, with the token."""
        with self._http.stream("GET", url, headers=self._authorize()) as response:
            return response.status_code

    def _own_hint(self, url: httpx.URL, status: int | None) -> str:
        for hinted_status, part, hint in OWN_HINTS:
            if status == hinted_status and part in url.path and self._own.holds(url):
                return f"; {hint}"
        return ""

    def _foreign_hint(self, url: httpx.URL) -> str:
        if self._own.holds(url) or not LABEL_STUDIO_PATH.search(url.path):
            return ""
        return (
            f"it looks like an address of Label Studio, but LABEL_STUDIO_URL is "
            f"{shown_uri(self._own.url)}, so no token was sent: let both name the same host"
        )


@cache
def _certificates() -> ssl.SSLContext:
    # Never changed, so all share it; loading it takes 0.06 s, the rest of a client 0.2 ms.
    return httpx.create_ssl_context()


def _doubt(error: httpx.RequestError | OSError) -> _DoubtfulError:
    """What a request failed of, in words; where the protocol is broken, those quote the answer."""
    name = type(error).__name__
    if isinstance(error, (*LOST_CONNECTION, OSError)):
        return _DoubtfulError(f"connection lost ({name})", may_pass=True)
    is_quoting = isinstance(error, httpx.ProtocolError)
    return _DoubtfulError(name if is_quoting else f"{name}: {error}", may_pass=False)
