"""Image URIs as a running Label Studio writes them into its tasks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from backend.errors import ImageError, LabelStudioUnauthorizedError
from backend.label_studio.images import ImageFetcher
from tests.label_studio.recording_server import RecordingServer, Reply, recording_server

pytestmark = pytest.mark.label_studio

LABEL_CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="label" toName="image">'
    '<Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
KEY = "cats/a b+ü.png"
KEY_ON_THE_WIRE = "cats/a%20b%2B%C3%BC.png"


@pytest.fixture
def fetcher(label_studio: Any) -> Iterator[ImageFetcher]:
    header = {"Authorization": f"Token {label_studio.token}"}
    fetcher = ImageFetcher(label_studio.url, lambda: header, image_hosts=["127.0.0.1"])
    yield fetcher
    fetcher.close()


@pytest.fixture
def project_id(label_studio: Any) -> int:
    return label_studio.create_project(LABEL_CONFIG)


@pytest.fixture
def bucket() -> Iterator[RecordingServer]:
    """As much of S3 as Label Studio and a signed URL ask for: a bucket with one file."""
    with recording_server() as server:
        server.replies["/bucket"] = Reply()
        server.replies[f"/bucket/{KEY_ON_THE_WIRE}"] = Reply(body=png())
        yield server


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


def upload(label_studio: Any, project_id: int) -> tuple[int, str]:
    """A task made from an uploaded file: its id and the URI that Label Studio gave it."""
    url = f"{label_studio.url}/api/projects/{project_id}/import"
    files = {"file": ("a b.png", png(), "image/png")}
    label_studio.session.post(url, files=files).raise_for_status()
    tasks = label_studio.session.get(
        f"{label_studio.url}/api/tasks",
        params={"project": project_id, "fields": "all", "resolve_uri": "false"},
    ).json()["tasks"]
    return tasks[0]["id"], tasks[0]["data"]["image"]


def connect(label_studio: Any, project_id: int, bucket: RecordingServer, presign: bool) -> None:
    storage = {
        "project": project_id,
        "bucket": "bucket",
        "s3_endpoint": bucket.url,
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "presign": presign,
    }
    url = f"{label_studio.url}/api/storages/s3/"
    reply = label_studio.session.post(url, json=storage)
    assert reply.status_code == 201, reply.text


def test_fetch_returns_the_file_when_it_was_uploaded(
    label_studio: Any, fetcher: ImageFetcher, project_id: int
) -> None:
    task_id, uri = upload(label_studio, project_id)
    assert uri.startswith("/data/upload/")
    assert fetcher.fetch(uri, task_id) == png()
    assert fetcher.fetch(label_studio.url + uri, task_id) == png()


def test_fetch_blames_the_image_when_the_upload_is_unknown(fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageError, match="may have been deleted"):
        fetcher.fetch("/data/upload/0/none.png", 1)


def test_fetch_returns_the_file_when_a_local_storage_holds_it(
    label_studio: Any, fetcher: ImageFetcher, project_id: int
) -> None:
    folder = label_studio.document_root / f"images{project_id}"
    folder.mkdir()
    (folder / "a b.png").write_bytes(png())
    label_studio.serve_local_files(project_id, folder)
    assert fetcher.fetch(f"/data/local-files/?d={folder.name}/a%20b.png", 1) == png()


def test_fetch_blames_the_image_when_no_local_storage_holds_it(fetcher: ImageFetcher) -> None:
    with pytest.raises(ImageError, match="no local storage"):
        fetcher.fetch("/data/local-files/?d=elsewhere/a.png", 1)


def test_fetch_follows_the_signed_url_without_token_when_the_file_is_in_s3(
    label_studio: Any, fetcher: ImageFetcher, project_id: int, bucket: RecordingServer
) -> None:
    connect(label_studio, project_id, bucket, presign=True)
    uri = f"s3://bucket/{KEY}"
    [task_id] = label_studio.import_tasks(project_id, [{"image": uri}])
    bucket.requests.clear()
    assert fetcher.fetch(uri, task_id) == png()
    [signed] = bucket.requests
    path, _, query = signed.target.partition("?")
    assert path == f"/bucket/{KEY_ON_THE_WIRE}"
    assert "X-Amz-Signature=" in query
    assert "authorization" not in signed.headers


def test_fetch_returns_the_file_when_label_studio_reads_s3_itself(
    label_studio: Any, fetcher: ImageFetcher, project_id: int, bucket: RecordingServer
) -> None:
    connect(label_studio, project_id, bucket, presign=False)
    uri = f"s3://bucket/{KEY}"
    [task_id] = label_studio.import_tasks(project_id, [{"image": uri}])
    assert fetcher.fetch(uri, task_id) == png()


def test_fetch_blames_the_image_when_no_storage_has_the_bucket(
    label_studio: Any, fetcher: ImageFetcher, project_id: int
) -> None:
    uri = "gs://nobodys/a.png"
    [task_id] = label_studio.import_tasks(project_id, [{"image": uri}])
    with pytest.raises(ImageError, match="no cloud storage"):
        fetcher.fetch(uri, task_id)


def test_fetch_gets_nothing_when_an_address_holds_the_token(
    label_studio: Any, fetcher: ImageFetcher
) -> None:
    for uri in ("/api/current-user/token", f"{label_studio.url}/api/current-user/whoami"):
        with pytest.raises(ImageError, match="HTTP 401") as raised:
            fetcher.fetch(uri, 1)
        assert label_studio.token not in str(raised.value)


def test_fetch_raises_unauthorized_when_the_token_is_wrong(
    label_studio: Any, project_id: int
) -> None:
    task_id, uri = upload(label_studio, project_id)
    fetcher = ImageFetcher(label_studio.url, lambda: {"Authorization": "Token wrong"})
    for each in (uri, "s3://bucket/a.png", "/data/local-files/?d=a.png"):
        with pytest.raises(LabelStudioUnauthorizedError, match="LABEL_STUDIO_API_KEY"):
            fetcher.fetch(each, task_id)
    fetcher.close()
