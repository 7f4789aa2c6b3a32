"""Small pictures: made once, small, and with a word where there is none."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from backend.errors import ImageError
from backend.web.pages import thumbnails
from backend.web.pages.thumbnails import reduced
from model_store.thumbnails import drop_old_thumbnails, thumbnail_file
from tests.states import KEY, mirrored_task


def uri_of(size=(300, 200)) -> str:
    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


@pytest.fixture
def pictured(project):
    tasks = [(200, uri_of()), (201, "data:image/png;base64,AAAA"), (202, "ftp://x/<y>.png")]
    project.tasks.put(KEY, [mirrored_task(task_id, uri=uri) for task_id, uri in tasks])
    return project


def test_picture_is_128_px_at_most_and_kept(client, pictured, folder):
    reply = client.get(f"/projects/12/thumbnails/200?v={200:032x}")
    assert reply.mimetype == "image/webp"
    assert Image.open(io.BytesIO(reply.data)).size == (128, 85)
    assert "max-age=31536000" in reply.headers["Cache-Control"]
    assert thumbnail_file(folder.path, f"{200:032x}").read_bytes() == reply.data
    etag = {"If-None-Match": reply.headers["ETag"]}
    assert client.get("/projects/12/thumbnails/200", headers=etag).status_code == 304


def test_picture_is_made_once(client, pictured, monkeypatch):
    client.get("/projects/12/thumbnails/200")
    monkeypatch.setattr(thumbnails, "reduced", lambda data: pytest.fail("made again"))
    assert client.get("/projects/12/thumbnails/200").status_code == 200


@pytest.mark.parametrize("task_id", [201, 202])
def test_placeholder_says_why_when_there_is_no_picture(client, pictured, task_id):
    reply = client.get(f"/projects/12/thumbnails/{task_id}")
    assert reply.mimetype == "image/svg+xml"
    assert "<title>" in reply.text and "<y>" not in reply.text


def test_browser_is_told_to_ask_again_when_many_are_being_made(client, pictured, monkeypatch):
    monkeypatch.setattr("threading.BoundedSemaphore.acquire", lambda *_, **__: False)
    reply = client.get("/projects/12/thumbnails/200")
    assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")


def test_reduced_refuses_what_is_no_image():
    with pytest.raises(ImageError):
        reduced(b"<html>")


def test_oldest_pictures_go_when_they_are_many(tmp_path):
    for number in range(5):
        path = thumbnail_file(tmp_path, f"{number}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (number, number))
    drop_old_thumbnails(tmp_path, kept=2)
    assert sorted(path.stem for path in (tmp_path / "thumbnails").iterdir()) == ["3", "4"]


def test_pictures_are_decoded_without_torch():
    code = "import sys, backend.web.pages.thumbnails; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
