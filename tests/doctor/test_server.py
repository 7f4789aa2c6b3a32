"""What the doctor says of Label Studio itself."""

from __future__ import annotations

import pytest

from backend.doctor import server
from backend.doctor.findings import Verdict
from backend.doctor.server import examine_server
from backend.harness.child import free_port
from backend.settings import Settings


@pytest.mark.label_studio
def test_release_and_user_are_named(label_studio):
    settings = Settings(label_studio_url=label_studio.url, label_studio_api_key=label_studio.token)
    release, token = examine_server(settings)
    assert (release.verdict, token.verdict) == (Verdict.OK, Verdict.OK)
    assert release.text == f"1.23.2 answers at {label_studio.url}"
    assert token.text == f"a legacy token, of {label_studio.admin.email}"


@pytest.mark.label_studio
@pytest.mark.parametrize("token", ["", "0" * 40])
def test_token_fails_with_where_to_get_one(label_studio, token):
    settings = Settings(label_studio_url=label_studio.url, label_studio_api_key=token)
    (finding,) = examine_server(settings)
    assert (finding.verdict, finding.topic) == (Verdict.FAIL, "token")
    assert "Account & Settings" in finding.remedy


def unreachable():
    url = f"http://localhost:{free_port()}"
    return Settings(label_studio_url=url, label_studio_api_key="0" * 40)


def test_silent_server_fails_with_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "IN_CONTAINER", tmp_path / "none")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    (finding,) = examine_server(unreachable())
    assert finding.verdict is Verdict.FAIL
    assert finding.remedy.startswith("start Label Studio")


def test_localhost_in_a_container_is_told_apart(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "IN_CONTAINER", tmp_path)
    (finding,) = examine_server(unreachable())
    assert "the container itself" in finding.remedy
    assert "host.docker.internal" in finding.remedy


def test_proxy_is_a_note_without_its_password(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:s-e-c-r-e-t@127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    settings = Settings(label_studio_url="http://studio.example.com", label_studio_api_key="0" * 40)
    first = next(iter(examine_server(settings)))
    assert (first.verdict, first.topic) == (Verdict.NOTE, "proxy")
    assert "s-e-c-r-e-t" not in str(first)
    assert first.remedy == "if that is not wanted: NO_PROXY=studio.example.com"


def test_proxy_is_not_named_when_the_server_is_exempt(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost")
    assert next(iter(examine_server(unreachable()))).topic == "Label Studio"
