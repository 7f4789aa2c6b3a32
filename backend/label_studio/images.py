"""The image of a task: from the URI in the task's data to the file's bytes.

- `/data/upload/...` and `/data/local-files/?d=...`, with or without Label Studio's sub-path: from
  Label Studio;
- `s3://`, `gs://`, `azure-blob://`: through Label Studio, which redirects to a signed URL or sends
  the file itself;
- `http://`, `https://`: from that server;
- `data:`: from the URI.

Everything else (`file://`, `ftp://`, ...) is refused. What a task's data makes go wrong is that one
image's failure, whatever it is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping

import httpx

from backend.errors import AlfaMixError, ImageError
from backend.label_studio.address_guard import AddressGuard
from backend.label_studio.data_uri import data_uri_bytes
from backend.label_studio.download import Downloader
from backend.label_studio.wording import shown_uri

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
OWN_FILES_PATH = "/data/"
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
        public_url: str = "",
        image_hosts: Iterable[str] = (),
    ) -> None:
        """Fetch for the Label Studio at `base_url`.

        Args:
            public_url: the address that Label Studio writes into the URIs of its own files, where
                that is not `base_url` (as behind docker-compose); such files are asked for at
                `base_url`, so the token goes nowhere else.
            authorize: Label Studio's Authorization header, asked for at each of its requests.
            timeout_s: longest wait for a connection or the next bytes.
            max_bytes: of one file.
            image_hosts: what ALFAMIX_IMAGE_HOSTS names; see `AddressGuard`.
        """
        self._base_url = base_url.rstrip("/")
        self._base_path = httpx.URL(self._base_url).path.rstrip("/")
        self._public_url = public_url.rstrip("/")
        self._max_bytes = max_bytes
        self._downloader = Downloader(
            self._base_url,
            authorize,
            AddressGuard(image_hosts),
            timeout_s=timeout_s,
            max_bytes=max_bytes,
        )

    def fetch(self, uri: str, task_id: int) -> bytes:
        """The file's bytes; nothing says yet that they are an image.

        Raises:
            ImageError: this image cannot be had, and why.
            LabelStudioUnreachableError: Label Studio does not answer; no image of it can be had.
            LabelStudioUnauthorizedError: Label Studio does not accept the token.
        """
        try:
            return self._fetched(uri.strip(), task_id)
        except AlfaMixError:
            raise
        except Exception as error:
            # Its text may quote what must not be shown.
            raise ImageError(f"{shown_uri(uri)}: unexpected {type(error).__name__}") from error

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._downloader.close()

    def _fetched(self, uri: str, task_id: int) -> bytes:
        if uri[:5].lower() == "data:":
            return self._limited(data_uri_bytes(uri))
        return self._downloader.get(self._url(uri, task_id))

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
            raise ImageError(f"{shown_uri(uri)!r} is not a valid URL") from error
        raise ImageError(
            f"{shown_uri(uri)!r} cannot be fetched; needed is a path of Label Studio "
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

    def _limited(self, data: bytes) -> bytes:
        if len(data) > self._max_bytes:
            raise ImageError(f"{len(data)} bytes, the limit is {self._max_bytes}")
        return data


def sources_of(
    image_keys: Iterable[str], uris: Iterable[str], task_ids: Iterable[int]
) -> dict[str, tuple[str, int]]:
    """URI and one task id of every image key, from columns of equal length."""
    triples = zip(image_keys, uris, task_ids, strict=True)
    return {str(key): (uri, int(task_id)) for key, uri, task_id in triples}


def by_key(
    fetch: Callable[[str, int], bytes], sources: Mapping[str, tuple[str, int]]
) -> Callable[[str], bytes]:
    """What gives the bytes of an image by its key; `sources` holds URI and task id of each."""
    return lambda key: fetch(*sources[key])


def image_key(uri: str) -> str:
    """The name under which an image's embedding is kept: 32 hex digits of the URI's SHA-256."""
    return hashlib.sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()[:32]
