"""What reaches the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest

from backend.process.logs import ALARMED, TALKATIVE, start_logging


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """The loggers as they were."""
    loggers = [logging.getLogger(name) for name in (None, *TALKATIVE, *ALARMED)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def test_log_keeps_no_signed_address_when_an_image_is_fetched(caplog):
    start_logging("DEBUG")
    logging.getLogger().setLevel(logging.DEBUG)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=transport) as client:
        client.get("https://bucket.example.com/a.png?X-Amz-Signature=secret")
    assert "secret" not in caplog.text
