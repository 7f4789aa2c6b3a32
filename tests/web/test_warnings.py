"""What the log and `/status` warn the admin of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backend.process.startup import open_journal
from backend.settings import Settings
from backend.web import wsgi
from backend.web.app import create_app
from backend.web.predictor import Predictor


def no_network() -> None:
    raise AssertionError("the network is not needed here")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"host": "127.0.0.1"}, 0),
        ({"basic_auth_user": "label-studio", "basic_auth_pass": "p"}, 0),
    ],
)
def test_status_warns_when_anybody_who_reaches_the_port_is_answered(
    options: dict[str, str], count: int, tmp_path: Path
) -> None:
    settings = Settings(model_dir=tmp_path, **options)
    journal = open_journal(settings)
    app = create_app(settings, journal, Predictor(settings, journal, no_network))
    auth = ("label-studio", "p") if settings.basic_auth_user else None
    warnings = app.test_client().get("/status", auth=auth).json["warnings"]
    assert len(warnings) == count
    assert all("BASIC_AUTH_USER" in warning for warning in warnings)


@pytest.mark.parametrize(("host", "count"), [("0.0.0.0", 1), ("127.0.0.1", 0)])
def test_log_warns_at_the_start_when_anybody_who_reaches_the_port_is_answered(
    host: str,
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(os, "umask", lambda mask: mask)  # of the tests' own process
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("HOST", host)
    wsgi.app()
    said = [record.getMessage() for record in caplog.records if "BASIC_AUTH" in record.getMessage()]
    assert len(said) == count
