"""Which addresses are Label Studio's own, and which of those serve files: only they get the token.

Label Studio answers the token's owner much that is nobody else's business, the token itself
included, and whoever may import tasks chooses which addresses are fetched.
"""

from __future__ import annotations

import re

import httpx

DEFAULT_PORTS = {"http": 80, "https": 443}
# What Label Studio 1.23 serves files at, below its own path: uploads, local files, uploads that it
# keeps in a cloud, and files of a cloud storage (`presign` is the older name of `resolve`).
FILE_PATH = re.compile(
    r"/data/upload/.*"
    r"|/data/local-files/"
    r"|/storage-data/uploaded/"
    r"|/(tasks|projects)/[0-9]+/(presign|resolve)/"
)
# Asked for without naming a file, it answers 400, 403 or 404.
UPLOADS_PATH = "/data/upload/"


class OwnAddress:
    """The address of one Label Studio."""

    def __init__(self, label_studio_url: str) -> None:
        # httpx would replace the token by a user and password.
        self.url = httpx.URL(label_studio_url).copy_with(username="", password="")
        self._path = self.url.path.rstrip("/")

    def at(self, path: str) -> httpx.URL:
        """The address of a path of Label Studio, such as `/api/...`."""
        return httpx.URL(str(self.url).rstrip("/") + path)

    def holds(self, url: httpx.URL) -> bool:
        """Whether a URL is Label Studio's: same scheme, host and port, and below its path."""
        return (
            origin_of(url) == origin_of(self.url)
            and url.path.startswith(self._path + "/")
            and ".." not in url.path.split("/")
        )

    def serves_file(self, url: httpx.URL) -> bool:
        """Whether a URL is one that Label Studio serves files at, so that it may get the token."""
        return self.holds(url) and bool(FILE_PATH.fullmatch(url.path.removeprefix(self._path)))

    def folder_of(self, url: httpx.URL) -> httpx.URL:
        """The address that serves files like this one, without naming one."""
        path = url.path.removeprefix(self._path)
        is_upload = path.startswith(UPLOADS_PATH) or not self.serves_file(url)
        return self.at(UPLOADS_PATH if is_upload else path)


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port of a URL; the host as it goes over the wire, in ASCII."""
    return url.scheme, url.raw_host.decode("ascii"), url.port or DEFAULT_PORTS.get(url.scheme, 0)
