"""One file over HTTP, from Label Studio with its token or from any other server without it.

The token goes to Label Studio only: same scheme, host and port, and below its path. Redirects are
followed by hand and this is decided anew for each; cookies are never kept, because they do not tell
ports apart and Label Studio's session cookie is as good as a token. Error messages carry a URL as
`shown_uri` shows it.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

from backend.errors import (
    AlfaMixError,
    ImageError,
    LabelStudioUnreachableError,
)
from backend.label_studio.address_guard import check_address, check_host
from backend.label_studio.wording import shown_uri, token_refused

MAX_REDIRECTS = 5
RETRY_PAUSES_S = (0.2, 0.8)
TEMPORARY_STATUS = frozenset({429, 502, 503, 504})
KEPT_CONNECTIONS = 32
# A body may take this many times the timeout: a server that drips must not hold a thread for good.
BODY_TIMEOUTS = 10
DEFAULT_PORTS = {"http": 80, "https": 443}
WHOAMI_PATH = "/api/current-user/whoami"
LABEL_STUDIO_PATH = re.compile(r"/data/(upload|local-files)/")
OWN_HINTS = (
    (404, "/presign/", "no cloud storage connected to the project has this bucket"),
    (404, "/data/local-files/", "no such file, or no local storage of a project holds its folder"),
    (500, "/data/upload/", "the uploaded file may have been deleted"),
)
HTML_START = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
HTML_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
SNIFFED_BYTES = 4096


class _TemporaryError(Exception):
    """Worth a second attempt."""


class Downloader:
    """HTTP GET with redirects, retries and limits; may be called from many threads at once."""

    def __init__(
        self,
        label_studio_url: str,
        authorize: Callable[[], dict[str, str]],
        *,
        timeout_s: float,
        max_bytes: int,
    ) -> None:
        """See ImageFetcher for the arguments."""
        # httpx would replace the token by a user and password.
        self._label_studio = httpx.URL(label_studio_url).copy_with(username="", password="")
        self._whoami = str(self._label_studio).rstrip("/") + WHOAMI_PATH
        self._authorize = authorize
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

    def is_label_studio(self, url: httpx.URL) -> bool:
        """Whether a URL is Label Studio's own, so that it may be sent the token."""
        base_path = self._label_studio.path.rstrip("/") + "/"
        return (
            _origin(url) == _origin(self._label_studio)
            and url.path.startswith(base_path)
            and ".." not in url.path.split("/")
        )

    def get(self, url: httpx.URL) -> bytes:
        """The body at the end of all redirects.

        Raises:
            ImageError: this file cannot be had, and why.
            LabelStudioUnreachableError: Label Studio does not answer.
            LabelStudioUnauthorizedError: Label Studio does not accept the token.
        """
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._answer(url)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise ImageError(f"more than {MAX_REDIRECTS} redirects, the last one to {shown_uri(url)}")

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def _answer(self, url: httpx.URL) -> bytes | httpx.URL:
        """The body, or where a redirect leads; temporary errors are tried again."""
        if url.scheme not in DEFAULT_PORTS or not url.host:
            raise ImageError(f"redirected to {shown_uri(url)}, needed is http:// or https://")
        for pause_s in RETRY_PAUSES_S:
            try:
                return self._attempt(url)
            except _TemporaryError:
                time.sleep(pause_s)
        try:
            return self._attempt(url)
        except _TemporaryError as error:
            raise self._failure(str(error), url) from error

    def _attempt(self, url: httpx.URL) -> bytes | httpx.URL:
        is_own = self.is_label_studio(url)
        if not is_own:
            check_host(url.host, _origin(url)[2])
        headers = self._authorize() if is_own else {}
        if is_own:  # httpx would replace the token by them
            url = url.copy_with(username="", password="")
        try:
            with self._http.stream("GET", url, headers=headers) as response:
                if not is_own:
                    _check_peer(response)
                if response.has_redirect_location:
                    return _redirected(url, response.headers["Location"])
                self._check_status(response, url)
                return self._image_body(response, url)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            raise _TemporaryError(f"connection lost: {error}") from error
        except httpx.RequestError as error:
            raise self._failure(f"{type(error).__name__}: {error}", url) from error

    def _check_status(self, response: httpx.Response, url: httpx.URL) -> None:
        status = response.status_code
        if status == 200:
            return
        is_own = self.is_label_studio(url)
        # Label Studio answers 500 to the URL of a deleted upload, so there it is not temporary.
        if status in TEMPORARY_STATUS or (status >= 500 and not is_own):
            raise _TemporaryError(f"HTTP {status}")
        if status == 401 and is_own:
            raise self._failure("HTTP 401", url)
        hint = _own_hint(url, status) if is_own else self._foreign_hint(url)
        raise ImageError(f"HTTP {status} from {shown_uri(url)}{hint}")

    def _image_body(self, response: httpx.Response, url: httpx.URL) -> bytes:
        body = self._limited_body(response, url)
        if not HTML_START.match(body[:SNIFFED_BYTES]):
            return body
        title = HTML_TITLE.search(body[:SNIFFED_BYTES])
        named = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
        raise ImageError(
            f"an HTML page{named} instead of an image from {shown_uri(url)}, perhaps a login page"
            f"{self._foreign_hint(url)}"
        )

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

    def _failure(self, reason: str, url: httpx.URL) -> AlfaMixError:
        """The error for a request that failed: the image's, unless Label Studio itself is at fault.

        One broken file must not make a round wait, nor an outage skip every task. So Label Studio
        is asked for the token's user, which it always knows.
        """
        failed = f"{reason} from {shown_uri(url)}"
        if not self.is_label_studio(url):
            return ImageError(failed + self._foreign_hint(url))
        where = f"Label Studio at {shown_uri(self._label_studio)}"
        try:
            status = self._http.get(self._whoami, headers=self._authorize()).status_code
        except httpx.RequestError as error:
            return LabelStudioUnreachableError(
                f"{where} does not answer ({type(error).__name__}: {error}; before, {failed})"
            )
        if status == 200:
            return ImageError(failed)
        if status == 401:
            return token_refused(self._label_studio)
        return LabelStudioUnreachableError(f"{where} answers {status} (before, {failed})")

    def _foreign_hint(self, url: httpx.URL) -> str:
        if self.is_label_studio(url) or not LABEL_STUDIO_PATH.search(url.path):
            return ""
        return (
            f"; it looks like an address of Label Studio, but LABEL_STUDIO_URL is "
            f"{shown_uri(self._label_studio)}, so no token was sent: let both name the same host"
        )


@cache
def _certificates() -> ssl.SSLContext:
    # Never changed, so all share it; loading it takes 0.06 s, the rest of a client 0.2 ms.
    return httpx.create_ssl_context()


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme, 0)


def _redirected(url: httpx.URL, location: str) -> httpx.URL:
    try:
        return url.join(location)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ImageError(f"{shown_uri(url)} redirects to an invalid URL: {error}") from error


def _check_peer(response: httpx.Response) -> None:
    """Refuse the address that was connected to: the name may have changed since it was checked."""
    try:
        peer = response.extensions["network_stream"].get_extra_info("server_addr")
    except OSError as error:
        raise _TemporaryError(f"connection lost: {error}") from error
    check_address(str(peer[0]), response.url.host)


def _own_hint(url: httpx.URL, status: int) -> str:
    for hinted_status, part, hint in OWN_HINTS:
        if status == hinted_status and part in url.path:
            return f"; {hint}"
    return ""
