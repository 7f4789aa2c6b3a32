"""Every kind of image URI against local servers; who is sent the token, and what failures mean."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from backend.errors import (
    ImageError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.label_studio import address_guard, download
from backend.label_studio.download import Downloader
from backend.label_studio.images import ImageFetcher, image_key
from tests.label_studio.recording_server import (
    RecordingServer,
    Reply,
    Request,
    recording_server,
)

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
        options = {"timeout_s": 5.0} | options
        made.append(ImageFetcher(own.url + base_path, lambda: {"Authorization": TOKEN}, **options))
        return made[-1]

    yield fetcher
    for each in made:
        each.close()


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


@pytest.mark.parametrize("uri", ["data:image/png;base64,iVB?", "data:image/png;base64"])
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


@pytest.mark.parametrize("uri", ["ftp://me:secret@host/a.png?k=secret", "http://me:secret@ho\tst"])
def test_fetch_tells_no_secret_when_it_refuses_the_uri(make: Make, uri: str) -> None:
    with pytest.raises(ImageError) as raised:
        make().fetch(uri, 1)
    assert "secret" not in str(raised.value)
    assert "//ho" in str(raised.value)


# Who is sent the token


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
    ],
)
def test_is_label_studio_is_true_only_when_origin_and_path_agree(url: str, expected: bool) -> None:
    downloader = Downloader("http://host.test/label-studio", dict, timeout_s=1, max_bytes=1)
    assert downloader.is_label_studio(httpx.URL(url)) is expected


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


REFUSED = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "224.0.0.1",
]


@pytest.mark.parametrize("address", REFUSED)
def test_check_host_refuses_when_any_address_is_link_local_or_metadata(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(2, 1, 6, "", (ip, 80)) for ip in ("93.184.216.34", address)]
    monkeypatch.setattr(address_guard.socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ImageError, match=r"images.test leads to"):
        address_guard.check_host("images.test", 80)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "192.168.1.2", "::1", "8.8.8.8"])
def test_check_address_allows_when_private_or_public(address: str) -> None:
    address_guard.check_address(address, "images.test")


@pytest.mark.parametrize("host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "[fe80::1]"])
def test_fetch_refuses_when_a_metadata_address_is_written_differently(
    make: Make, host: str
) -> None:
    with pytest.raises(ImageError, match="images are not fetched from there"):
        make().fetch(f"http://{host}/latest/meta-data/", 1)


def test_fetch_refuses_when_a_name_leads_elsewhere_after_the_check(
    foreign: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "check_host", lambda *_: None)
    loopback = frozenset([address_guard.ipaddress.ip_address("127.0.0.1")])
    monkeypatch.setattr(address_guard, "METADATA_ADDRESSES", loopback)
    with pytest.raises(ImageError, match="images are not fetched from there"):
        make().fetch(f"{foreign.url}/image.png", 1)


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
        ("/data/upload/1.png", "/data/upload/1.png", 500, "deleted"),
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
    own.replies["/odd"] = Reply(401)
    with pytest.raises(ImageError, match="HTTP 401"):
        make().fetch("/odd", 1)


def test_fetch_says_why_no_token_was_sent_when_the_host_is_named_differently(
    own: RecordingServer, make: Make
) -> None:
    own.replies["/data/upload/1.png"] = Reply(401)
    other_name = own.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ImageError, match=f"LABEL_STUDIO_URL is {own.url}.*no token was sent"):
        make().fetch(f"{other_name}/data/upload/1.png", 1)
    assert own.tokens == [None]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_fetch_raises_unreachable_when_label_studio_is_down_behind_its_proxy(
    own: RecordingServer, make: Make, status: int
) -> None:
    own.replies["/data/upload/1.png"] = own.replies[WHOAMI] = Reply(status)
    with pytest.raises(LabelStudioUnreachableError, match=f"answers {status}"):
        make().fetch("/data/upload/1.png", 1)
    assert own.targets == ["/data/upload/1.png"] * 3 + [WHOAMI]


@pytest.mark.parametrize("failure", [Reply(503), Reply(body=None)])
def test_fetch_blames_the_image_when_label_studio_fails_on_it_alone(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    own.replies["/data/upload/1.png"] = failure
    with pytest.raises(ImageError, match=r"HTTP 503|connection lost"):
        make().fetch("/data/upload/1.png", 1)


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
def test_fetch_names_the_page_when_it_gets_html(
    foreign: RecordingServer, make: Make, page: bytes
) -> None:
    foreign.replies["/image.png"] = redirect("/login?next=secret")
    foreign.replies["/login"] = Reply(body=page)
    with pytest.raises(ImageError) as raised:
        make().fetch(f"{foreign.url}/image.png", 1)
    assert f"an HTML page titled 'Sign in' instead of an image from {foreign.url}/login," in str(
        raised.value
    )


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
