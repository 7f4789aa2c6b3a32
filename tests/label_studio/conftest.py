"""Two local servers, one of them Label Studio, and fetchers of its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from backend.label_studio import download
from backend.label_studio.images import ImageFetcher
from tests.label_studio.recording_server import RecordingServer, Reply, recording_server

TOKEN = "Token 0123456789abcdef"
IMAGE = b"\x89PNG and so on"
WHOAMI = "/api/current-user/whoami"
Make = Callable[..., ImageFetcher]


@pytest.fixture
def own() -> Iterator[RecordingServer]:
    """Label Studio, up and with a good token."""
    with recording_server() as server:
        server.replies[WHOAMI] = Reply(body=b"{}")
        yield server


@pytest.fixture
def foreign() -> Iterator[RecordingServer]:
    """Any other server; it differs from Label Studio in its port alone."""
    with recording_server() as server:
        server.replies["/image.png"] = Reply(body=IMAGE)
        yield server


@pytest.fixture
def make(own: RecordingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes fetchers of the server `own` that do not pause before a retry."""
    monkeypatch.setattr(download, "RETRY_PAUSES_S", (0.0, 0.0))
    made: list[ImageFetcher] = []

    def fetcher(base_path: str = "", **options: object) -> ImageFetcher:
        options = {"timeout_s": 5.0, "image_hosts": ("127.0.0.1/32", "localhost")} | options
        made.append(ImageFetcher(own.url + base_path, lambda: {"Authorization": TOKEN}, **options))
        return made[-1]

    yield fetcher
    for each in made:
        each.close()
