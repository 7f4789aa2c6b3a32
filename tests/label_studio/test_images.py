"""Every kind of image URI against local servers; who is sent the token, and what is said."""

from __future__ import annotations

import base64
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from backend.errors import (
    ImageError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.label_studio import download
from backend.label_studio.images import ImageFetcher, image_key
from tests.label_studio.conftest import IMAGE, TOKEN, WHOAMI, Make
from tests.label_studio.recording_server import (
    RecordingServer,
    Reply,
    Request,
    recording_server,
)


def redirect(url: str, status: int = 302) -> Reply:
    return Reply(status, b"", {"Location": url})


# Where each kind is fetched from


def test_fetch_sends_the_token_when_the_uri_is_an_upload(own: RecordingServer, make: Make) -> None:
    own.replies["/data/upload/3/a%20b.png"] = Reply(body=IMAGE)
    assert make().fetch("/data/upload/3/a%20b.png", 1) == IMAGE
    assert own.tokens == [TOKEN]


def test_fetch_sends_the_token_when_the_uri_is_a_local_file(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/local-files/"] = Reply(body=IMAGE)
    assert make().fetch("/data/local-files/?d=cats/1%202.png", 1) == IMAGE
    assert parse_qs(urlsplit(own.targets[0]).query) == {"d": ["cats/1 2.png"]}
    assert own.tokens == [TOKEN]


@pytest.mark.parametrize("uri", ["/label-studio/data/upload/3/a.png", "/data/upload/3/a.png"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_fetch_asks_below_the_sub_path_when_label_studio_has_one(
    own: RecordingServer, make: Make, uri: str, slash: str
) -> None:
    own.replies["/label-studio/data/upload/3/a.png"] = Reply(body=IMAGE)
    assert make("/label-studio" + slash).fetch(uri, 1) == IMAGE
    assert own.tokens == [TOKEN]


@pytest.mark.parametrize("base_path", ["", "/label-studio"])
def test_fetch_sends_the_token_when_an_absolute_url_is_label_studios(
    own: RecordingServer, make: Make, base_path: str
) -> None:
    own.replies[f"{base_path}/data/local-files/"] = Reply(body=IMAGE)
    uri = f"{own.url}{base_path}/data/local-files/?d=a.png"
    assert make(base_path).fetch(uri, 1) == IMAGE
    assert own.tokens == [TOKEN]


def test_fetch_asks_the_configured_address_when_label_studio_has_a_public_one(
    own: RecordingServer, foreign: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1/a.png"] = Reply(body=IMAGE)
    fetcher = make(public_url=foreign.url)
    assert fetcher.fetch(f"{foreign.url}/data/upload/1/a.png", 1) == IMAGE
    assert fetcher.fetch(f"{foreign.url}/image.png", 1) == IMAGE
    assert own.tokens == [TOKEN]
    assert foreign.tokens == [None]


CLOUD_URIS = [
    "s3://bucket/folder/a b?c.png",
    "gs://bucket/ü.png",
    "azure-blob://container/~~~>>>.png",
]


@pytest.mark.parametrize("uri", CLOUD_URIS)
def test_fetch_follows_to_the_signed_url_without_token_when_the_uri_is_in_the_cloud(
    own: RecordingServer, foreign: RecordingServer, make: Make, uri: str
) -> None:
    own.replies["/tasks/42/presign/"] = redirect(f"{foreign.url}/image.png?sig=a%2Bb%3D", 303)
    assert make().fetch(uri, 42) == IMAGE
    asked = parse_qs(urlsplit(own.targets[0]).query)["fileuri"][0]
    assert base64.urlsafe_b64decode(asked).decode() == uri
    assert foreign.targets == ["/image.png?sig=a%2Bb%3D"]
    assert (own.tokens, foreign.tokens) == ([TOKEN], [None])


def test_fetch_returns_the_body_when_label_studio_sends_the_cloud_file_itself(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/label-studio/tasks/42/presign/"] = Reply(body=IMAGE)
    assert make("/label-studio").fetch("s3://bucket/a.png", 42) == IMAGE


def test_fetch_sends_no_token_when_the_url_is_another_servers(
    foreign: RecordingServer, make: Make
) -> None:
    assert make().fetch(f"{foreign.url}/image.png", 1) == IMAGE
    assert foreign.tokens == [None]


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("data:image/png;base64,iVBORw==", b"\x89PNG"),
        ("data:image/png;base64,iVBORw", b"\x89PNG"),
        ("data:image/png;base64,iVBO%0ARw%3D%3D", b"\x89PNG"),
        ("DATA:;BASE64,iVBORw==", b"\x89PNG"),
        ("data:image/png,%89PNG+,", b"\x89PNG+,"),
        ("data:,", b""),
    ],
)
def test_fetch_decodes_when_the_uri_holds_the_data(make: Make, uri: str, expected: bytes) -> None:
    assert make().fetch(uri, 1) == expected


@pytest.mark.parametrize(
    "uri", ["data:image/png;base64,iVB?", "data:image/png;base64", "data:image/png,\ud800"]
)
def test_fetch_raises_when_a_data_uri_is_damaged(make: Make, uri: str) -> None:
    with pytest.raises(ImageError, match="a data: URI"):
        make().fetch(uri, 1)


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "ftp://host/a.png",
        "gopher://host/",
        "//host/a.png",
        "a.png",
        "http://",
        "http://ho\tst/",
        "http://\ud800/",
        "http://xn--ö.test/a.png",
        "http://host:port/a.png",
        "http://[::1/a.png",
        "http://1.2.3.256/a.png",
        "s3://\ud800",
        "/\ud800",
        "   ",
    ],
)
def test_fetch_asks_nobody_when_the_uri_is_of_no_known_kind(
    own: RecordingServer, make: Make, uri: str
) -> None:
    with pytest.raises(ImageError, match=r"needed is|not a valid URL"):
        make().fetch(uri, 1)
    assert own.requests == []


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("ftp://me:secret@host/a.png?k=secret", "//host/a.png"),
        ("http://me:secret@ho\tst", "//ho"),
        ("http://me:secret/5@host/a.png", "http://…"),
        ("me:secret@host/a.png", "host/a.png"),
    ],
)
def test_fetch_tells_no_secret_when_it_refuses_the_uri(make: Make, uri: str, shown: str) -> None:
    with pytest.raises(ImageError) as raised:
        make().fetch(uri, 1)
    assert "secret" not in str(raised.value)
    assert shown in str(raised.value)


MALFORMED_HOSTS = ["a..b", "a" * 70 + ".test", ".test", "xn--", "xn--a", "xn--99999999"]


@pytest.mark.parametrize("host", MALFORMED_HOSTS)
@pytest.mark.parametrize("is_redirected", [True, False])
def test_fetch_blames_the_image_when_a_host_name_is_malformed(
    foreign: RecordingServer, make: Make, host: str, is_redirected: bool
) -> None:
    foreign.replies["/away"] = redirect(f"http://{host}/x.png")
    uri = f"{foreign.url}/away" if is_redirected else f"http://{host}/x.png"
    with pytest.raises(ImageError, match=r"is not a valid host name|is no valid URL"):
        make().fetch(uri, 1)


NASTY = [
    *(
        "http:",
        "https:",
        "s3:",
        "data:",
        "//",
        "/",
        "\\",
        ":",
        "@",
        "?",
        "#",
        "[",
        "]",
        "%",
        "..",
        ".",
    ),
    *("xn--", "ä", "\u2100", "\ud800", "\0", "\n", " ", "a" * 64, "0x7f", "::1", "65536", "-"),
    *("%2e", "%2F", "%00", "%zz", "/data/upload/", "/data/local-files/?d=", "/tasks/1/presign/"),
    *("/api/current-user/token", "base64,", ";", "=", "127.0.0.1", "host.test", "me:secret@"),
]


@pytest.mark.parametrize("seed", range(20))
def test_fetch_raises_nothing_but_image_error_when_uris_are_garbled(
    own: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    resolve, port = socket.getaddrinfo, urlsplit(own.url).port

    def resolved(host: str, asked_port: int, *args: object, **options: object) -> list:
        if asked_port != port:
            raise socket.gaierror("unknown name")
        return resolve(host, asked_port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    chosen, fetcher = random.Random(seed), make(image_hosts=())
    for _ in range(50):
        with suppress(ImageError):
            fetcher.fetch("".join(chosen.choices([*NASTY, own.url], k=chosen.randint(1, 7))), 1)
    for request in own.requests:
        if "authorization" in request.headers:
            path = unquote(request.target.partition("?")[0])
            assert re.match(r"/(data/upload/|data/local-files/$|tasks/1/presign/$)", path)
            assert ".." not in path.split("/")


def test_fetch_blames_the_image_without_quoting_when_nobody_foresaw_its_error(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("secret")

    monkeypatch.setattr(download.Downloader, "get", fail)
    with pytest.raises(ImageError) as raised:
        make().fetch("https://me:secret@host/a.png", 1)
    assert str(raised.value) == "https://host/a.png: unexpected LookupError"


# Who is sent the token


NO_FILES = [
    "/api/current-user/token",
    "/api/current-user/token?d=a.png",
    "/api/token/refresh/",
    "/api/projects/1/export",
    "/data/upload/../../api/current-user/token",
    "/data/upload/%2e%2e/%2e%2e/api/current-user/token",
    "/data/upload/%2E%2E%2F%2E%2E%2Fapi/current-user/token",
    "/tasks/1/presign/../../../api/current-user/token",
    "/tasks/1/presign/api",
    "/data/avatars/a.png",
    "/static/a.png",
    "/user/account",
    "/",
]


@pytest.mark.parametrize("path", NO_FILES)
@pytest.mark.parametrize("is_absolute", [True, False])
def test_fetch_sends_no_token_when_label_studio_serves_no_files_there(
    own: RecordingServer, make: Make, path: str, is_absolute: bool
) -> None:
    asked = httpx.URL(own.url + path).raw_path.decode().partition("?")[0]
    own.replies[asked] = Reply(body=b'{"token": "secret"}')
    make().fetch(own.url + path if is_absolute else path, 1)
    assert own.tokens == [None]


def test_fetch_sends_no_token_when_redirected_to_where_no_files_are(
    own: RecordingServer, foreign: RecordingServer, make: Make
) -> None:
    foreign.replies["/away"] = redirect(f"{own.url}/api/current-user/token")
    own.replies["/data/upload/1.png"] = redirect("/api/current-user/token")
    own.replies["/api/current-user/token"] = Reply(401, b'{"detail": "secret"}')
    for uri in (f"{foreign.url}/away", "/data/upload/1.png"):
        with pytest.raises(ImageError, match="HTTP 401") as raised:
            make().fetch(uri, 1)
        assert "secret" not in str(raised.value)
    assert own.tokens == [None, TOKEN, None]


def test_fetch_decides_on_the_token_anew_when_redirected(
    own: RecordingServer, foreign: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = redirect("/data/upload/2.png", 301)
    own.replies["/data/upload/2.png"] = redirect(f"{foreign.url}/away", 307)
    foreign.replies["/away"] = redirect(f"{own.url}/data/upload/3.png", 308)
    own.replies["/data/upload/3.png"] = Reply(body=IMAGE)
    assert make().fetch("/data/upload/1.png", 1) == IMAGE
    assert (own.tokens, foreign.tokens) == ([TOKEN] * 3, [None])


def test_fetch_sends_no_token_when_redirected_out_of_the_sub_path(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/label-studio/data/upload/1.png"] = redirect("/other/image.png")
    own.replies["/other/image.png"] = Reply(body=IMAGE)
    assert make("/label-studio").fetch("/data/upload/1.png", 1) == IMAGE
    assert own.tokens == [TOKEN, None]


def test_fetch_sends_the_token_when_the_url_has_a_user_of_its_own(
    own: RecordingServer, make: Make
) -> None:
    # Else a task could make Label Studio answer 401, and the round wait for a better token.
    own.replies["/data/upload/1.png"] = Reply(body=IMAGE)
    uri = own.url.replace("http://", "http://user:secret@") + "/data/upload/1.png"
    assert make().fetch(uri, 1) == IMAGE
    assert own.tokens == [TOKEN]


def test_fetch_sends_no_cookie_when_label_studio_has_set_one(
    own: RecordingServer, foreign: RecordingServer, make: Make
) -> None:
    session = {"Set-Cookie": "sessionid=secret; Path=/"}
    own.replies["/data/upload/1.png"] = Reply(body=IMAGE, headers=session)
    fetcher = make()
    fetcher.fetch("/data/upload/1.png", 1)
    fetcher.fetch("/data/upload/1.png", 1)
    fetcher.fetch(f"{foreign.url}/image.png", 1)
    assert not any("cookie" in request.headers for request in own.requests + foreign.requests)


def test_fetch_asks_for_the_header_again_when_a_token_is_renewed(own: RecordingServer) -> None:
    own.replies["/data/upload/1.png"] = Reply(body=IMAGE)
    tokens = iter(["Bearer first", "Bearer second"])
    fetcher = ImageFetcher(own.url, lambda: {"Authorization": next(tokens)})
    fetcher.fetch("/data/upload/1.png", 1)
    fetcher.fetch("/data/upload/1.png", 1)
    fetcher.close()
    assert own.tokens == ["Bearer first", "Bearer second"]


# Redirects and addresses


@pytest.mark.parametrize(("redirects", "is_followed"), [(5, True), (6, False)])
def test_fetch_follows_five_redirects_when_there_are_more(
    foreign: RecordingServer, make: Make, redirects: int, is_followed: bool
) -> None:
    for hop in range(redirects):
        foreign.replies[f"/{hop}"] = redirect(f"/{hop + 1}?sig=secret")
    foreign.replies[f"/{redirects}"] = Reply(body=IMAGE)
    fetcher = make()
    if is_followed:
        assert fetcher.fetch(f"{foreign.url}/0", 1) == IMAGE
    else:
        with pytest.raises(ImageError, match=r"more than 5 redirects, the last one to [^?]*$"):
            fetcher.fetch(f"{foreign.url}/0", 1)


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://169.254.169.254/latest/",
        "http://ho\\ st/",
    ],
)
def test_fetch_raises_when_redirected_to_where_it_must_not_go(
    foreign: RecordingServer, make: Make, target: str
) -> None:
    foreign.replies["/away"] = redirect(target)
    with pytest.raises(ImageError):
        make().fetch(f"{foreign.url}/away", 1)
    assert foreign.targets == ["/away"]


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]"])
def test_fetch_refuses_when_a_metadata_address_is_written_differently(
    make: Make, host: str
) -> None:
    with pytest.raises(ImageError, match="images are not fetched from there"):
        make().fetch(f"http://{host}/latest/meta-data/", 1)


@pytest.mark.parametrize("named", [(), ("127.0.0.2",), ("images.test", "*.test", "10.0.0.0/8")])
def test_fetch_asks_no_loopback_address_when_it_is_not_named(
    foreign: RecordingServer, make: Make, named: tuple[str, ...]
) -> None:
    with pytest.raises(ImageError, match=r"leads to 127.0.0.1.*ALFAMIX_IMAGE_HOSTS"):
        make(image_hosts=named).fetch(f"{foreign.url}/image.png", 1)
    assert foreign.requests == []


def test_fetch_asks_label_studio_when_its_address_is_not_named(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = own.replies["/static/1.png"] = Reply(body=IMAGE)
    fetcher = make(image_hosts=())
    for path in ("/data/upload/1.png", "/static/1.png"):
        assert fetcher.fetch(path, 1) == fetcher.fetch(own.url + path, 1) == IMAGE


def test_fetch_follows_no_redirect_when_it_leads_to_an_address_that_is_not_named(
    own: RecordingServer, foreign: RecordingServer, make: Make
) -> None:
    own.replies["/tasks/1/presign/"] = redirect(f"{foreign.url}/image.png", 303)
    with pytest.raises(ImageError, match="ALFAMIX_IMAGE_HOSTS"):
        make(image_hosts=()).fetch("s3://bucket/a.png", 1)
    assert foreign.requests == []


def test_fetch_sends_nothing_when_a_name_leads_elsewhere_after_it_was_checked(
    foreign: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = urlsplit(foreign.url).port
    answers = [[(2, 1, 6, "", (ip, port))] for ip in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.pop(0))
    with pytest.raises(ImageError, match=r"images\.test leads to 127"):
        make(image_hosts=()).fetch(f"http://images.test:{port}/image.png", 1)
    assert answers == []
    assert foreign.requests == []


def test_fetch_asks_a_proxy_when_its_address_is_not_named(
    foreign: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", foreign.url)
    monkeypatch.setattr(socket, "getaddrinfo", resolving_all_but("images.test"))
    foreign.replies["http://images.test/image.png"] = Reply(body=IMAGE)
    assert make(image_hosts=()).fetch("http://images.test/image.png", 1) == IMAGE


def resolving_all_but(unknown: str) -> Callable[..., list]:
    """`socket.getaddrinfo` where one name is unknown."""
    resolve = socket.getaddrinfo

    def resolved(host: str, *args: object, **options: object) -> list:
        if host == unknown:
            raise socket.gaierror("unknown name")
        return resolve(host, *args, **options)

    return resolved


# What failures mean


def test_fetch_names_status_and_url_without_query_when_not_found(
    foreign: RecordingServer, make: Make
) -> None:
    uri = foreign.url.replace("://", "://user:secret@") + "/none.png?X-Amz-Signature=secret"
    with pytest.raises(ImageError) as raised:
        make().fetch(uri, 1)
    assert str(raised.value) == f"HTTP 404 from {foreign.url}/none.png"


@pytest.mark.parametrize(
    ("uri", "path", "status", "hint"),
    [
        ("s3://bucket/a.png", "/tasks/1/presign/", 404, "no cloud storage"),
        ("/data/local-files/?d=a.png", "/data/local-files/", 404, "no local storage"),
        ("/data/upload/1.png", "/data/upload/1.png", 403, ""),
    ],
)
def test_fetch_blames_the_image_when_label_studio_has_it_not(
    own: RecordingServer, make: Make, uri: str, path: str, status: int, hint: str
) -> None:
    own.replies[path] = Reply(status)
    with pytest.raises(ImageError, match=f"HTTP {status} from .*{hint}"):
        make().fetch(uri, 1)
    assert len(own.requests) == 1


def test_fetch_raises_unauthorized_when_label_studio_refuses_the_token(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = own.replies[WHOAMI] = Reply(401)
    with pytest.raises(LabelStudioUnauthorizedError, match="LABEL_STUDIO_API_KEY") as raised:
        make().fetch("/data/upload/1.png", 1)
    assert TOKEN not in str(raised.value)


def test_fetch_blames_the_image_when_only_its_url_answers_401(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = Reply(401)
    with pytest.raises(ImageError, match="HTTP 401"):
        make().fetch("/data/upload/1.png", 1)


def test_fetch_says_why_no_token_was_sent_when_the_host_is_named_differently(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = Reply(401)
    other_name = own.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ImageError, match=f"LABEL_STUDIO_URL is {own.url}.*no token was sent"):
        make().fetch(f"{other_name}/data/upload/1.png", 1)
    assert own.tokens == [None]


@pytest.mark.parametrize("uri", ["/data/upload/1.png", "s3://bucket/a.png"])
def test_fetch_raises_unreachable_when_label_studio_is_gone(uri: str) -> None:
    with recording_server() as server:
        url = server.url
    fetcher = ImageFetcher(url, dict)
    with pytest.raises(LabelStudioUnreachableError, match=f"{url} does not answer"):
        fetcher.fetch(uri, 1)
    fetcher.close()


def test_fetch_blames_the_image_when_another_server_is_gone(make: Make) -> None:
    with recording_server() as server:
        url = server.url
    with pytest.raises(ImageError, match=f"ConnectError.* from {url}/image.png"):
        make().fetch(f"{url}/image.png", 1)


@pytest.mark.parametrize("failure", [Reply(429), Reply(500), Reply(503), Reply(body=None)])
def test_fetch_succeeds_when_a_failure_was_temporary(
    foreign: RecordingServer, make: Make, failure: Reply
) -> None:
    foreign.replies["/image.png"] = [failure, failure, Reply(body=IMAGE)]
    assert make().fetch(f"{foreign.url}/image.png", 1) == IMAGE


def test_fetch_tries_again_when_the_body_ends_early(foreign: RecordingServer, make: Make) -> None:
    cut = Reply(body=IMAGE[:5], headers={"Content-Length": "9", "Connection": "close"})
    foreign.replies["/image.png"] = [cut, Reply(body=IMAGE)]
    assert make().fetch(f"{foreign.url}/image.png", 1) == IMAGE


@pytest.mark.parametrize("failure", [Reply(500), Reply(503), Reply(body=None)])
def test_fetch_gives_up_after_three_attempts_when_a_failure_stays(
    foreign: RecordingServer, make: Make, failure: Reply
) -> None:
    foreign.replies["/image.png"] = failure
    with pytest.raises(ImageError, match=r"from http://127.0.0.1:.*/image.png"):
        make().fetch(f"{foreign.url}/image.png", 1)
    assert len(foreign.requests) == 3


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html>\n<html><head><title> Sign in </title>",
        b"\n<html><title>Sign in</title></html>",
        b"<!-- x --><!doctype html><title>Sign in</title>",
    ],
)
def test_fetch_says_where_from_and_quotes_nothing_when_it_gets_html(
    foreign: RecordingServer, make: Make, page: bytes
) -> None:
    foreign.replies["/image.png"] = redirect("/login?next=secret")
    foreign.replies["/login"] = Reply(body=page)
    with pytest.raises(ImageError) as raised:
        make().fetch(f"{foreign.url}/image.png", 1)
    assert str(raised.value) == (
        f"an HTML page instead of an image from {foreign.url}/login, perhaps a login page"
    )


def test_fetch_quotes_nothing_when_a_server_does_not_speak_http(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def banner() -> None:
            for _ in range(3):
                with listener.accept()[0] as connection:
                    connection.sendall(b"secret banner\r\n\r\n")

        thread = threading.Thread(target=banner)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        with pytest.raises(ImageError, match="connection lost") as raised:
            make().fetch(url, 1)
        thread.join()
    assert "secret" not in str(raised.value)


# Limits


@pytest.mark.parametrize(("size", "is_allowed"), [(1000, True), (1001, False)])
@pytest.mark.parametrize("announces", [True, False])
def test_fetch_raises_when_the_body_is_over_the_limit(
    foreign: RecordingServer, make: Make, size: int, is_allowed: bool, announces: bool
) -> None:
    body = bytes(size)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    unannounced = Reply(body=chunked, headers={"Transfer-Encoding": "chunked"})
    foreign.replies["/image.png"] = Reply(body=body) if announces else unannounced
    fetcher = make(max_bytes=1000)
    if is_allowed:
        assert fetcher.fetch(f"{foreign.url}/image.png", 1) == body
    else:
        with pytest.raises(ImageError, match="limit"):
            fetcher.fetch(f"{foreign.url}/image.png", 1)


def test_fetch_raises_when_a_data_uri_is_over_the_limit(make: Make) -> None:
    fetcher = make(max_bytes=10)
    assert fetcher.fetch("data:,1234567890", 1) == b"1234567890"
    with pytest.raises(ImageError, match="11 bytes, the limit is 10"):
        fetcher.fetch("data:,12345678901", 1)


class Hanging:
    """A reply that comes when the test is over."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def __call__(self, request: Request) -> Reply:
        self.is_over.wait(30)
        return Reply(body=None)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    reply = Hanging()
    yield reply
    reply.is_over.set()


def test_fetch_blames_the_image_when_another_server_hangs(
    foreign: RecordingServer, make: Make, hanging: Hanging
) -> None:
    foreign.replies["/image.png"] = hanging
    with pytest.raises(ImageError, match="ReadTimeout"):
        make(timeout_s=0.2).fetch(f"{foreign.url}/image.png", 1)


def test_fetch_blames_the_image_when_label_studio_hangs_on_it_alone(
    own: RecordingServer, make: Make, hanging: Hanging
) -> None:
    own.replies["/data/upload/1.png"] = hanging
    with pytest.raises(ImageError, match="ReadTimeout"):
        make(timeout_s=0.5).fetch("/data/upload/1.png", 1)


def test_fetch_raises_unreachable_when_label_studio_hangs(
    own: RecordingServer, make: Make, hanging: Hanging
) -> None:
    own.replies["/data/upload/1.png"] = own.replies[WHOAMI] = hanging
    with pytest.raises(LabelStudioUnreachableError, match="ReadTimeout"):
        make(timeout_s=0.2).fetch("/data/upload/1.png", 1)


def test_fetch_gives_up_when_the_body_takes_too_long(
    foreign: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "BODY_TIMEOUTS", -1)
    with pytest.raises(ImageError, match="took longer than"):
        make().fetch(f"{foreign.url}/image.png", 1)


# Many at once


def test_fetch_reuses_its_connection_when_called_again(
    foreign: RecordingServer, make: Make
) -> None:
    fetcher = make()
    for _ in range(3):
        fetcher.fetch(f"{foreign.url}/image.png", 1)
    assert len({request.client_port for request in foreign.requests}) == 1


def test_fetch_gives_each_thread_its_own_image_when_many_call(
    own: RecordingServer, make: Make
) -> None:
    paths = [f"/data/upload/{number}.png" for number in range(40)]
    own.replies.update({path: Reply(body=path.encode()) for path in paths})
    fetcher = make()
    with ThreadPoolExecutor(8) as pool:
        bodies = list(pool.map(lambda path: fetcher.fetch(path, 1), paths))
    assert bodies == [path.encode() for path in paths]
    assert own.tokens == [TOKEN] * 40


# Keys


def test_image_key_is_the_start_of_the_sha256_when_given_a_uri() -> None:
    # NIST's example for SHA-256 of "abc".
    assert image_key("abc") == "ba7816bf8f01cfea414140de5dae2223"


def test_image_key_is_32_hex_digits_when_the_uri_has_a_lone_surrogate() -> None:
    assert len(image_key("s3://\ud800")) == 32
