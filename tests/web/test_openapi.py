"""The description of the routes, and what comes of requests that are made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from backend.process.startup import open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.openapi import OPERATIONS, description
from backend.web.predictor import Predictor
from tests.states import KEY

OF_FLASK = {"HEAD", "OPTIONS"}
SETTINGS = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An app whose journal knows one project."""

    def no_network():
        raise AssertionError("the network is not needed here")

    settings = Settings(model_dir=tmp_path)
    journal = open_journal(settings)
    journal.note_changed(KEY)
    return create_app(settings, journal, Predictor(settings, journal, no_network))


@pytest.fixture
def described(app: Flask) -> Any:
    """What schemathesis makes of the description."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_route_answers_as_described_whatever_is_asked(described, operation, mode):
    found = described[operation.path][operation.method.upper()]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("it takes nothing that could be wrong")

    @SETTINGS
    @given(found.as_strategy(generation_mode=mode))
    def answers_as_described(case):
        # A project that is not connected is refused, however well it is named.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    answers_as_described()


def test_every_route_is_described(app):
    routes = {
        (rule.rule, method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - OF_FLASK
        if not rule.endpoint.startswith("pages.") or rule.rule == "/"
    }
    paths = description()["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == routes
