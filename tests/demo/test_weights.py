"""Which backbone the demo starts with."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.demo import weights
from backend.harness.child import free_port


class Hub(BaseHTTPRequestHandler):
    """Has every file."""

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def empty_cache(monkeypatch):
    monkeypatch.setattr(weights, "_is_cached", lambda _name: False)


@pytest.fixture
def hub():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", ["ALFAMIX_BACKBONE", "ALFAMIX_BACKBONE_WEIGHTS"])
def test_backbone_is_the_users_when_there_is_a_choice(name):
    assert weights.backbone_settings({name: "vit"})[0] == {}


@pytest.mark.usefixtures("empty_cache")
def test_backbone_is_bundled_when_the_hub_is_out_of_reach():
    nowhere = f"http://127.0.0.1:{free_port()}"

    settings, line = weights.backbone_settings({"HF_ENDPOINT": nowhere})

    assert settings == {"ALFAMIX_BACKBONE": "bundled"}
    assert "ALFAMIX_BACKBONE_WEIGHTS" in line
    assert "\n" not in line


@pytest.mark.usefixtures("empty_cache")
def test_backbone_is_the_default_when_the_hub_has_it(hub):
    settings, line = weights.backbone_settings({"HF_ENDPOINT": hub})

    assert settings == {"ALFAMIX_IMAGE_PX": "112"}
    assert "vit_small_patch16_224.dino" in line
