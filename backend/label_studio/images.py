"""The image of a task: from the URI in the task's data to the file's bytes.

- `/data/upload/...` and `/data/local-files/?d=...`, with or without Label Studio's sub-path: from
  Label Studio;
- `s3://`, `gs://`, `azure-blob://`: through Label Studio, which redirects to a signed URL or sends
  the file itself;
- `http://`, `https://`: from that server;
- `data:`: from the URI.

Everything else (`file://`, `ftp://`, ...) is refused.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from backend.errors import ImageError
from backend.label_studio.data_uri import data_uri_bytes
from backend.label_studio.download import Downloader

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
OWN_FILES_PATH = "/data/"
LOCAL_FILES_PATH = "/data/local-files/"
MIB = 2**20


class ImageFetcher:
    """Fetches images of one Label Studio's tasks; may be called from many threads at once."""

    def __init__(
        self,
        base_url: str,
        authorize: Callable[[], dict[str, str]],
        *,
        timeout_s: float = 20.0,
        max_bytes: int = 64 * MIB,
        local_files_root: Path | None = None,
        public_url: str = "",
    ) -> None:
        """Fetch for the Label Studio at `base_url`.

        Args:
            public_url: the address that Label Studio writes into the URIs of its own files, where
                that is not `base_url` (as behind docker-compose); such files are asked for at
                `base_url`, so the token goes nowhere else.
            authorize: Label Studio's Authorization header, asked for at each of its requests.
            timeout_s: longest wait for a connection or the next bytes.
            max_bytes: of one file.
            local_files_root: Label Studio's LOCAL_FILES_DOCUMENT_ROOT where it is mounted here as
                well; its files are then read from disk, and Label Studio is not asked whether this
                project may have them.
        """
        self._base_url = base_url.rstrip("/")
        self._base_path = httpx.URL(self._base_url).path.rstrip("/")
        self._public_url = public_url.rstrip("/")
        self._max_bytes = max_bytes
        self._local_files_root = local_files_root
        self._downloader = Downloader(
            self._base_url, authorize, timeout_s=timeout_s, max_bytes=max_bytes
        )

    def fetch(self, uri: str, task_id: int) -> bytes:
        """The file's bytes; nothing says yet that they are an image.

        Raises:
            ImageError: this image cannot be had, and why.
            LabelStudioUnreachableError: Label Studio does not answer; no image of it can be had.
            LabelStudioUnauthorizedError: Label Studio does not accept the token.
        """
        if not isinstance(uri, str) or not uri.strip():
            raise ImageError(f"the image field holds {_shortened(repr(uri))}, needed is a URI")
        uri = uri.strip()
        if uri[:5].lower() == "data:":
            return self._limited(data_uri_bytes(uri))
        url = self._url(uri, task_id)
        if self._local_files_root is not None and self._is_local_file(url):
            return self._read(self._local_files_root, url.params.get("d", ""))
        return self._downloader.get(url)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._downloader.close()

    def _url(self, uri: str, task_id: int) -> httpx.URL:
        scheme = uri.partition("://")[0].lower()
        try:
            if scheme in CLOUD_SCHEMES:
                return httpx.URL(self._presign_url(uri, task_id))
            if scheme in ("http", "https"):
                return httpx.URL(self._reachable(uri))
            if uri.startswith("/") and not uri.startswith("//"):
                return httpx.URL(self._own_url(uri))
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ImageError(f"{_shortened(repr(uri))} is not a valid URL: {error}") from error
        raise ImageError(
            f"{_shortened(repr(uri))} cannot be fetched; needed is a path of Label Studio "
            f"(/data/...), http(s)://, data: or {', '.join(f'{name}://' for name in CLOUD_SCHEMES)}"
        )

    def _presign_url(self, uri: str, task_id: int) -> str:
        encoded = base64.urlsafe_b64encode(uri.encode()).decode()
        return f"{self._base_url}/tasks/{task_id}/presign/?fileuri={encoded}"

    def _reachable(self, uri: str) -> str:
        if self._public_url and uri.startswith(self._public_url + OWN_FILES_PATH):
            return self._own_url(uri.removeprefix(self._public_url))
        return uri

    def _own_url(self, path: str) -> str:
        # Under a sub-path, Label Studio writes it into the URIs of uploads; old tasks may lack it.
        if self._base_path and path.startswith(self._base_path + "/"):
            path = path.removeprefix(self._base_path)
        return self._base_url + path

    def _is_local_file(self, url: httpx.URL) -> bool:
        is_own = self._downloader.is_label_studio(url)
        return is_own and url.path == self._base_path + LOCAL_FILES_PATH

    def _read(self, root: Path, relative: str) -> bytes:
        shown = _shortened(repr(relative))
        try:
            path = (root / relative.lstrip("/")).resolve()
            if not path.is_relative_to(root.resolve()):
                raise ImageError(f"local file {shown} lies outside of {root}")
            if not path.is_file():
                raise ImageError(f"local file {shown} is not in {root}")
            self._check_size(path.stat().st_size)
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise ImageError(f"local file {shown} cannot be read: {error}") from error

    def _limited(self, data: bytes) -> bytes:
        self._check_size(len(data))
        return data

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ImageError(f"{size} bytes, the limit is {self._max_bytes}")


def image_key(uri: str) -> str:
    """The name under which an image's embedding is kept: 32 hex digits of the URI's SHA-256."""
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _shortened(text: str) -> str:
    """Without the query, which may hold a signature, and not longer than a line of `/status`."""
    text = text.partition("?")[0]
    return text if len(text) <= 120 else text[:117] + "..."
