"""Faults of what is sent to the backend, and of images: damaged, huge, slow, made up."""

from __future__ import annotations

import base64
import io
import random
import socket
import struct
import time
import zlib
from contextlib import ExitStack

import httpx
from PIL import Image

from backend.harness.colors import CLASSES
from benchmarks.faults.fault import Fault
from benchmarks.faults.loop import Loop
from benchmarks.faults.of_files import LASTS_S

ROUTES = ("/setup", "/webhook", "/predict", "/versions", "/nowhere")
BODIES = (b"", b"{", b"[]", b"null", b'{"project": 7}', b'{"project": "9.9"}', b"\xff\xfe", b"[[[[")
BEGINNINGS = (
    b"",
    b"POST /webhook HTTP/1.1\r\nHost: x\r\n",
    b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
)
LARGE = 60 * 2**20
# A float image, whose pixels take four bytes each once it is read.
TIFF_SIDE = 4000
PNG_SIZE = (1, 100_000_000)


def bad_urls(loop: Loop, _rng: random.Random) -> None:
    """Tasks come whose images have URLs that are none."""
    urls = ("http://a..b/x.png", f"http://{'a' * 70}.example/x.png", "http://xn--/x.png", "x", "")
    _import_and_list(loop, [{"image": url, "truth": CLASSES[0]} for url in urls])


def huge_images(loop: Loop, _rng: random.Random) -> None:
    """Tasks come whose images are small files of very many pixels."""
    file = io.BytesIO()
    Image.new("F", (TIFF_SIDE, TIFF_SIDE)).save(file, "TIFF", compression="tiff_adobe_deflate")
    tiff = _data_uri("tiff", file.getvalue())
    png = _data_uri("png", truncated_png())
    tasks = [{"image": f"{tiff}", "truth": CLASSES[0]}] * 4 + [{"image": png, "truth": CLASSES[0]}]
    _import_and_list(loop, tasks, listed=1)


def slow_clients(loop: Loop, _rng: random.Random) -> None:
    """Forty connections begin requests and do not go on."""
    with ExitStack() as stack:
        for number in range(40):
            address = ("127.0.0.1", loop.backend.port)
            connection = stack.enter_context(socket.create_connection(address, timeout=60))
            connection.sendall(BEGINNINGS[number % len(BEGINNINGS)])
        time.sleep(LASTS_S)


def malformed_requests(loop: Loop, rng: random.Random) -> None:
    """Two hundred requests that mean nothing."""
    for _ in range(200):
        headers = {"Content-Type": rng.choice(["application/json", "text/plain"])}
        path, body = rng.choice(ROUTES), rng.choice(BODIES)
        loop.backend.client.post(path, content=body, headers=headers)


def made_up_projects(loop: Loop, _rng: random.Random) -> None:
    """A thousand calls of /setup for projects that do not exist."""
    for number in range(1000):
        body = {"project": f"{10**6 + number}.1700000000", "schema": "<View/>"}
        loop.backend.client.post("/setup", json=body, headers={"Host": "made-up.example"})


def large_bodies(loop: Loop, _rng: random.Random) -> None:
    """Two bodies of 60 MB that are nothing but empty lists."""
    body = b"[" + b"[]," * (LARGE // 3) + b"[]]"
    for path in ("/webhook", "/predict"):
        try:
            loop.backend.client.post(path, content=body)
        except httpx.TransportError:
            continue  # it may hang up on so much


def truncated_png() -> bytes:
    """A file of a few bytes that says it is an image of very many pixels."""
    header = struct.pack(">IIBBBBB", *PNG_SIZE, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    chunk += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 20) + b"IDAT" + b"\x78\x9c"


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _import_and_list(loop: Loop, tasks: list[dict[str, str]], listed: int | None = None) -> None:
    """Import tasks; return when so many of them, by default all, are listed as unreadable."""
    before = len(loop.status()["unreadable"])
    wanted = before + (len(tasks) if listed is None else listed)
    loop.add_tasks(tasks)
    loop.wait_for("them to be listed", lambda: len(loop.status().get("unreadable", [])) >= wanted)


FAULTS = (
    Fault("images with URLs that are none", bad_urls),
    Fault("small files of very many pixels", huge_images),
    Fault("forty slow clients for 8 s", slow_clients),
    Fault("200 malformed requests", malformed_requests),
    Fault("1,000 made-up projects", made_up_projects),
    Fault("two bodies of 60 MB", large_bodies),
)
