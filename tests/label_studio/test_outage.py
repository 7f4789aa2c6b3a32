"""A file of Label Studio's that cannot be had: its own failure, or Label Studio's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backend.errors import ImageError, LabelStudioUnauthorizedError, LabelStudioUnreachableError
from backend.label_studio import fault
from backend.label_studio.images import by_key
from backend.vision.pixel_batches import pixel_batches
from backend.vision.preprocessing import Preprocessing
from tests.label_studio.conftest import IMAGE, WHOAMI, Make
from tests.label_studio.recording_server import RecordingServer, Reply
from tests.vision.tiny import encoded_image

GOOD, BAD = "/data/upload/3/good.png", "/data/upload/3/bad.png"
FAILURES = [*map(Reply, (500, 502, 503, 504)), Reply(body=None)]
OUTAGES = [Reply(429), *FAILURES]
FOLDER = "/data/upload/"


def fail(server: RecordingServer, failure: Reply, *paths: str) -> None:
    for path in paths:
        server.replies[path] = failure


@pytest.mark.parametrize("failure", FAILURES)
def test_fetch_blames_the_image_when_the_path_of_files_is_answered(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    fail(own, failure, BAD)
    with pytest.raises(ImageError, match=r"HTTP 50. from|connection lost \(.*\) from"):
        make().fetch(BAD, 1)
    assert own.targets == [BAD] * 3 + [WHOAMI, FOLDER, BAD]


def test_fetch_says_that_an_upload_may_be_deleted_when_it_alone_answers_500(
    own: RecordingServer, make: Make
) -> None:
    fail(own, Reply(500), BAD)
    with pytest.raises(ImageError, match=f"HTTP 500 from {own.url}{BAD}; the uploaded file may"):
        make().fetch(BAD, 1)


@pytest.mark.parametrize("failure", FAILURES)
def test_fetch_blames_the_image_when_the_file_that_was_had_last_is_answered(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    own.replies[GOOD] = Reply(body=IMAGE)
    fetcher = make()
    assert fetcher.fetch(GOOD, 1) == IMAGE
    fail(own, failure, BAD, FOLDER)
    with pytest.raises(ImageError):
        fetcher.fetch(BAD, 1)
    assert own.targets[1:] == [BAD] * 3 + [WHOAMI, GOOD, BAD]


@pytest.mark.parametrize("failure", FAILURES)
def test_fetch_succeeds_when_an_outage_ends_while_label_studio_is_asked_for_others(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    own.replies[BAD] = [failure] * 3 + [Reply(body=IMAGE)]
    assert make().fetch(BAD, 1) == IMAGE


@pytest.mark.parametrize("failure", OUTAGES)
@pytest.mark.parametrize("uri", [BAD, "/data/local-files/?d=a.png", "s3://bucket/a.png"])
def test_fetch_raises_unreachable_when_no_file_is_handed_out(
    own: RecordingServer, make: Make, failure: Reply, uri: str
) -> None:
    fail(own, failure, BAD, FOLDER, "/data/local-files/", "/tasks/1/presign/")
    with pytest.raises(LabelStudioUnreachableError, match=r"no files|too many requests"):
        make().fetch(uri, 1)


@pytest.mark.parametrize("failure", OUTAGES)
def test_fetch_raises_unreachable_when_what_was_had_cannot_be_had_any_more(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    own.replies[GOOD] = Reply(body=IMAGE)
    fetcher = make()
    fetcher.fetch(GOOD, 1)
    fail(own, failure, GOOD, BAD)
    with pytest.raises(LabelStudioUnreachableError):
        fetcher.fetch(BAD, 1)


def test_fetch_raises_unreachable_when_one_file_alone_has_too_many_requests(
    own: RecordingServer, make: Make
) -> None:
    own.replies[GOOD] = Reply(body=IMAGE)
    fetcher = make()
    fetcher.fetch(GOOD, 1)
    fail(own, Reply(429), BAD)
    with pytest.raises(LabelStudioUnreachableError, match=r"too many requests \(HTTP 429 from"):
        fetcher.fetch(BAD, 1)


def test_fetch_blames_the_image_when_what_was_had_long_ago_fails_too(
    own: RecordingServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault, "REMEMBERED_S", 0.0)
    own.replies[GOOD] = Reply(body=IMAGE)
    fetcher = make()
    fetcher.fetch(GOOD, 1)
    fail(own, Reply(500), GOOD, BAD)
    with pytest.raises(ImageError):
        fetcher.fetch(BAD, 1)


def test_fetch_blames_the_image_when_it_was_had_itself_before(
    own: RecordingServer, make: Make
) -> None:
    own.replies[GOOD] = Reply(body=IMAGE)
    fetcher = make()
    fetcher.fetch(GOOD, 1)
    fail(own, Reply(500), GOOD)
    with pytest.raises(ImageError, match="HTTP 500"):
        fetcher.fetch(GOOD, 1)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_fetch_raises_unreachable_when_the_user_is_not_known_either(
    own: RecordingServer, make: Make, status: int
) -> None:
    fail(own, Reply(status), BAD, WHOAMI)
    with pytest.raises(LabelStudioUnreachableError, match=f"answers {status}"):
        make().fetch(BAD, 1)
    assert own.targets == [BAD] * 3 + [WHOAMI]


def test_fetch_raises_unauthorized_when_the_token_is_refused_meanwhile(
    own: RecordingServer, make: Make
) -> None:
    fail(own, Reply(503), BAD)
    fail(own, Reply(401), WHOAMI)
    with pytest.raises(LabelStudioUnauthorizedError):
        make().fetch(BAD, 1)


@pytest.mark.parametrize("failure", OUTAGES)
def test_fetch_succeeds_when_label_studio_fails_for_a_moment(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    own.replies[GOOD] = [failure, failure, Reply(body=IMAGE)]
    assert make().fetch(GOOD, 1) == IMAGE


def forty(own: RecordingServer, make: Make) -> tuple[list[str], Callable[[str], bytes]]:
    """Keys and loader of forty uploads that can be had."""
    sources = {f"key {number}": (f"/data/upload/3/{number}.png", number) for number in range(40)}
    for number, (path, _) in enumerate(sources.values()):
        own.replies[path] = Reply(body=encoded_image(number))
    return list(sources), by_key(make().fetch, sources)


PREPROCESSING = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("failure", OUTAGES)
def test_no_image_is_unreadable_when_label_studio_has_an_outage(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    keys, load = forty(own, make)
    served = dict(own.replies)
    fail(own, failure, FOLDER, *(path for path in served if path != WHOAMI))
    with pytest.raises(LabelStudioUnreachableError):
        list(pixel_batches(keys, load, PREPROCESSING))
    own.replies = served
    batches = list(pixel_batches(keys, load, PREPROCESSING))
    assert [key for batch in batches for key in batch.image_keys] == keys


@pytest.mark.parametrize("failure", FAILURES)
def test_one_image_is_unreadable_when_all_others_can_be_had(
    own: RecordingServer, make: Make, failure: Reply
) -> None:
    keys, load = forty(own, make)
    fail(own, failure, "/data/upload/3/0.png")
    batches = list(pixel_batches(keys, load, PREPROCESSING))
    assert [key for batch in batches for key in batch.image_keys] == keys[1:]
    assert [key for batch in batches for key in batch.unreadable] == keys[:1]
