"""A running Label Studio's files while it fails, as behind a server in front of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from backend.errors import ImageError, LabelStudioUnreachableError
from backend.harness.proxy import Failure, Proxy, never
from backend.label_studio.fault import is_definite
from backend.label_studio.images import ImageFetcher

pytestmark = pytest.mark.label_studio

LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
DELETED = "/data/upload/0/deleted.png"


@pytest.fixture
def proxy(label_studio: Any) -> Iterator[Proxy]:
    with Proxy(label_studio.url) as proxy:
        yield proxy


@pytest.fixture
def new_fetcher(label_studio: Any, proxy: Proxy) -> Iterator[Callable[[], ImageFetcher]]:
    """Makes fetchers that have not had any file yet."""
    made: list[ImageFetcher] = []

    def make() -> ImageFetcher:
        header = {"Authorization": f"Token {label_studio.token}"}
        made.append(ImageFetcher(proxy.url, lambda: header))
        return made[-1]

    yield make
    for each in made:
        each.close()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def upload(label_studio: Any) -> str:
    """The address of an uploaded file."""
    project_id = label_studio.create_project(LABEL_CONFIG)
    url = f"{label_studio.url}/api/projects/{project_id}/import"
    files = {"file": ("a.png", png(), "image/png")}
    label_studio.session.post(url, files=files).raise_for_status()
    parameters = {"project": project_id, "fields": "all", "resolve_uri": "false"}
    tasks = label_studio.api.call("GET", "/api/tasks", params=parameters)["tasks"]
    return tasks[0]["data"]["image"]


def no_files(_method: str, path: str) -> Failure | None:
    return Failure.REFUSED if path.startswith("/data/") else None


@pytest.mark.parametrize("had_before", [True, False])
def test_fetch_raises_unreachable_as_long_as_no_file_is_handed_out(
    proxy: Proxy, new_fetcher: Callable[[], ImageFetcher], upload: str, had_before: bool
) -> None:
    fetcher = new_fetcher()
    if had_before:
        assert fetcher.fetch(upload, 1) == png()
    proxy.fails = no_files
    for uri in (upload, DELETED):
        with pytest.raises(LabelStudioUnreachableError, match="hands out no files"):
            fetcher.fetch(uri, 1)
    proxy.fails = never
    assert fetcher.fetch(upload, 1) == png()


@pytest.mark.parametrize("had_before", [True, False])
def test_fetch_blames_the_image_when_it_was_deleted(
    new_fetcher: Callable[[], ImageFetcher], upload: str, had_before: bool
) -> None:
    fetcher = new_fetcher()
    if had_before:
        fetcher.fetch(upload, 1)
    with pytest.raises(ImageError, match=r"HTTP 500 .* may have been deleted"):
        fetcher.fetch(DELETED, 1)


@pytest.mark.parametrize(
    "path",
    [
        *("/data/upload/", "/data/local-files/", "/storage-data/uploaded/"),
        *("/tasks/{0}/presign/", "/tasks/{0}/resolve/"),
        *("/projects/{0}/presign/", "/projects/{0}/resolve/"),
    ],
)
@pytest.mark.parametrize("number", [1, 10**6])
def test_label_studio_answers_the_paths_of_files_definitely_when_no_file_is_named(
    label_studio: Any, path: str, number: int
) -> None:
    headers = {"Authorization": f"Token {label_studio.token}"}
    reply = httpx.get(label_studio.url + path.format(number), headers=headers, timeout=60)
    assert is_definite(reply.status_code)
