"""Loads that have a deadline."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from backend.errors import ImageError, LabelStudioUnreachableError
from backend.web.live import LiveLoads, Load

LONG_S, SHORT_S = 60.0, 0.05


@pytest.fixture
def held() -> Iterator[Load]:
    """A load that lasts as long as the test."""
    is_over = threading.Event()

    def load(_key: str) -> bytes:
        is_over.wait(LONG_S)
        return b""

    yield load
    is_over.set()


def test_load_gives_the_bytes_when_they_are_had_in_time():
    assert LiveLoads(1).by_deadline(str.encode, LONG_S)("key") == b"key"


def test_load_raises_what_was_raised():
    def fail(_key: str) -> bytes:
        raise LabelStudioUnreachableError("down")

    with pytest.raises(LabelStudioUnreachableError, match="down"):
        LiveLoads(1).by_deadline(fail, LONG_S)("key")


def test_load_raises_image_error_when_the_deadline_is_over(held):
    with pytest.raises(ImageError, match=r"not had within 0\.05 s"):
        LiveLoads(1).by_deadline(held, SHORT_S)("key")


def test_load_raises_image_error_when_others_hold_all_places(held):
    loads, asked = LiveLoads(1), []
    with pytest.raises(ImageError):
        loads.by_deadline(held, SHORT_S)("first")
    with pytest.raises(ImageError):
        loads.by_deadline(asked.append, SHORT_S)("second")
    assert asked == []


def test_place_is_free_again_when_a_load_ended():
    loads = LiveLoads(1)
    assert [loads.by_deadline(str.encode, LONG_S)(key) for key in "abc"] == [b"a", b"b", b"c"]
