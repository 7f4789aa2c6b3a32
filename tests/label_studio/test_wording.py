"""What people may see of an address, and what a refused token says."""

from __future__ import annotations

import httpx
import pytest

from backend.errors import LabelStudioUnauthorizedError
from backend.label_studio.wording import shown_uri, token_refused

LONG = "s3://bucket/" + "a" * 200


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/data/upload/3/a%20b.png", "/data/upload/3/a%20b.png"),
        ("s3://bucket/ü@b.png", "s3://bucket/ü@b.png"),
        ("https://cdn.test/a.png?X-Amz-Signature=secret", "https://cdn.test/a.png"),
        ("https://cdn.test/a.png#access_token=secret", "https://cdn.test/a.png"),
        ("https://me:secret@cdn.test/a.png", "https://cdn.test/a.png"),
        ("HTTP://me:sec@ret@cdn.test:8/a@b.png", "HTTP://cdn.test:8/a@b.png"),
        ("//me:secret@cdn.test/a.png", "//cdn.test/a.png"),
        ("http://me:secret@ho\tst/", "http://ho\tst/"),
        ("me:secret@cdn.test/a.png", "cdn.test/a.png"),
        ("http://me:sec/ret@cdn.test/a.png", "http://…"),
        ("http://me:se?cret@cdn.test/a.png", "http://…"),
        ("http://me:se#cret@cdn.test/a.png", "http://…"),
        ("s3://key:sec/ret@bucket/a.png", "s3://…"),
        ("http://cdn.test:80", "http://cdn.test:80"),
        ("http://[fe80::1]:80/a:b.png", "http://[fe80::1]:80/a:b.png"),
        ("gs://bucket/a:b@c.png", "gs://bucket/a:b@c.png"),
        ("/data/local-files/?d=cats/1%202.png", "/data/local-files/?d=cats/1%202.png"),
        (
            "http://ls.test/sub/data/local-files/?d=a.png&sig=secret",
            "http://ls.test/sub/data/local-files/?d=a.png",
        ),
        ("/data/local-files/?sig=secret&d=a.png", "/data/local-files/"),
        (
            "https://cdn.test/data/local-files/a.png?d=secret",
            "https://cdn.test/data/local-files/a.png",
        ),
        ("data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,…"),
        ("DATA:image/png,%89PNG?#@", "DATA:image/png,…"),
        (LONG, LONG[:119] + "…"),
        ("s3://bucket/" + "a" * 108, "s3://bucket/" + "a" * 108),
        ("", ""),
    ],
)
def test_shown_uri_holds_no_secret_when_the_uri_does(uri: str, shown: str) -> None:
    assert shown_uri(uri) == shown


def test_shown_uri_takes_urls_as_httpx_keeps_them() -> None:
    url = httpx.URL("https://me:secret@cdn.test/a b.png?sig=secret")
    assert shown_uri(url) == "https://cdn.test/a%20b.png"


def test_token_refused_names_the_server_and_the_setting_but_no_secret() -> None:
    error = token_refused("https://me:secret@ls.test/label-studio")
    assert isinstance(error, LabelStudioUnauthorizedError)
    assert str(error).startswith("Label Studio at https://ls.test/label-studio does not accept")
    assert "LABEL_STUDIO_API_KEY" in str(error)
