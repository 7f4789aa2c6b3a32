"""Who may ask Label Studio: clients and fetchers by token, kept so that connections are kept."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence

from backend.label_studio.client import LabelStudioClient
from backend.label_studio.images import ImageFetcher
from backend.label_studio.transport import Guard

# Tokens are kept that many at most: anybody may send one.
KEPT = 64


class Access:
    """The ways into one Label Studio; may be used from several threads."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        request_timeout_s: float = 60.0,
        retries: int = 2,
        image_timeout_s: float = 20.0,
        image_hosts: Sequence[str] = (),
    ) -> None:
        """Use the configured token; without one, those that Label Studio sends on connection.

        request_timeout_s, retries: see LabelStudioClient.
        image_timeout_s, image_hosts: see ImageFetcher.
        """
        self._url = url
        self._api_key = api_key
        self._request_timeout_s = request_timeout_s
        self._retries = retries
        self._image_timeout_s = image_timeout_s
        self._image_hosts = image_hosts
        self._clients: dict[str, LabelStudioClient] = {}
        self._fetchers: dict[tuple[str, str], ImageFetcher] = {}
        self._lock = threading.RLock()
        self._guard: Guard | None = None

    def guarded(self, guard: Guard) -> Access:
        """The same ways, for who must ask before anything is changed.

        Label Studio knows no leases: before each request that may change something `guard` is
        called, which raises where that is not allowed any more.
        """
        guarded = copy.copy(self)
        guarded._guard = guard
        return guarded

    def client(self, sent_token: str) -> LabelStudioClient:
        """A client with the configured token, or else with the one that Label Studio sent.

        LabelStudioUnauthorizedError: there is neither.
        """
        token = self._api_key or sent_token
        with self._lock:
            if token not in self._clients:
                _make_room(self._clients)
                self._clients[token] = LabelStudioClient(
                    self._url, token, timeout_s=self._request_timeout_s, retries=self._retries
                )
            client = self._clients[token]
        return client if self._guard is None else client.guarded(self._guard)

    def fetcher(self, sent_token: str, hostname: str) -> ImageFetcher:
        """A fetcher for a Label Studio that calls itself `hostname` in the URIs of its files."""
        client = self.client(sent_token)
        name = (self._api_key or sent_token, hostname)
        with self._lock:
            if name not in self._fetchers:
                _make_room(self._fetchers)
                self._fetchers[name] = ImageFetcher(
                    self._url,
                    client.authorization,
                    timeout_s=self._image_timeout_s,
                    public_url=hostname,
                    image_hosts=self._image_hosts,
                )
            return self._fetchers[name]


def _make_room(kept: dict) -> None:
    if len(kept) >= KEPT:
        kept.pop(next(iter(kept)))
