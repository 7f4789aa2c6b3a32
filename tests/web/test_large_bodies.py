"""Bodies that are small on the wire and large in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

MIB = 2**20
PATIENCE_S = 120.0


def peak_bytes(url: str) -> int:
    """The most memory that the web process at `url` ever took."""
    mark = f"PORT={urlsplit(url).port}\0".encode()
    peaks = [_peak(entry) for entry in Path("/proc").glob("[0-9]*") if mark in _environ(entry)]
    return max(peaks)


def _environ(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def _peak(process: Path) -> int:
    """0 where the process has ended meanwhile."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("path", ["/predict", "/webhook"])
def test_body_takes_little_memory_when_it_is_full_of_empty_lists(start_web, path):
    url = start_web()
    body = b'{"tasks": [' + b"[]," * (20 * MIB) + b"0]}"
    before = peak_bytes(url)
    with ThreadPoolExecutor(2) as senders:
        send = [senders.submit(_status, url + path, body) for _ in range(2)]
        assert {sent.result() for sent in send} <= {400, 413}
    assert peak_bytes(url) - before < 6 * len(body)


def _status(url: str, body: bytes) -> int:
    headers = {"Content-Type": "application/json"}
    return httpx.post(url, content=body, headers=headers, timeout=PATIENCE_S).status_code
