"""Which addresses are Label Studio's own, and which of them may be sent its token."""

from __future__ import annotations

import httpx
import pytest

from backend.label_studio.own_address import OwnAddress

OWN = OwnAddress("http://host.test/label-studio")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host.test/label-studio/data/upload/1.png", True),
        ("http://host.test:80/label-studio/data/upload/1.png", True),
        ("HTTP://HOST.test/label-studio/data/upload/1.png", True),
        ("http://user:secret@host.test/label-studio/a", True),
        ("https://host.test/label-studio/a", False),
        ("https://host.test:80/label-studio/a", False),
        ("http://host.test:8080/label-studio/a", False),
        ("http://host.test.evil.test/label-studio/a", False),
        ("http://host.test@evil.test/label-studio/a", False),
        ("http://evil.test/http://host.test/label-studio/a", False),
        ("http://host.test\\@evil.test/label-studio/a", False),
        ("http://www.host.test/label-studio/a", False),
        ("http://host.test/other/a", False),
        ("http://host.test/label-studio-2/a", False),
        ("http://host.test/label-studio/../other/a", False),
        ("http://host.test/label-studio/%2e%2e/other/a", False),
        ("http://xn--/label-studio/a", False),
    ],
)
def test_holds_is_true_only_when_origin_and_path_agree(url: str, expected: bool) -> None:
    assert OWN.holds(httpx.URL(url)) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/upload/3/a%20b.png", True),
        ("/data/upload/3/a.png?d=1", True),
        ("/data/upload/%0a.png", False),
        ("/data/local-files/?d=cats/1.png", True),
        ("/storage-data/uploaded/?filepath=upload/3/a.png", True),
        ("/tasks/42/presign/?fileuri=czM6", True),
        ("/tasks/42/resolve/?fileuri=czM6", True),
        ("/projects/42/presign/?fileuri=czM6", True),
        ("/projects/42/resolve/?fileuri=czM6", True),
        ("/projects/42/", False),
        ("/projects/4a/presign/", False),
        ("/tasks/42/presign/api", False),
        ("/api/tasks/42/presign/", False),
        ("/api/current-user/token", False),
        ("/data/local-files/api/current-user/token", False),
        ("/data/export/1.json", False),
        ("/data/upload", False),
        ("/data/upload/../../api/current-user/token", False),
        ("/data/upload/%2e%2e/%2e%2e/api/current-user/token", False),
        ("//data/upload/1.png", False),
        ("/other/data/upload/1.png", False),
    ],
)
@pytest.mark.parametrize(
    "own", [OWN, OwnAddress("http://host.test"), OwnAddress("http://a:b@h:1/")]
)
def test_serves_file_is_true_only_for_the_paths_of_files(
    own: OwnAddress, path: str, expected: bool
) -> None:
    url = httpx.URL(str(own.url).rstrip("/") + path)
    assert own.serves_file(url) is expected
    assert not own.serves_file(httpx.URL("http://elsewhere.test" + path))


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/data/upload/3/a.png", "/data/upload/"),
        ("/data/local-files/?d=a.png", "/data/local-files/"),
        ("/tasks/42/presign/?fileuri=czM6", "/tasks/42/presign/"),
        ("/static/a.png", "/data/upload/"),
    ],
)
def test_folder_of_names_no_file(path: str, folder: str) -> None:
    assert OWN.folder_of(httpx.URL(str(OWN.url) + path)) == str(OWN.url) + folder
