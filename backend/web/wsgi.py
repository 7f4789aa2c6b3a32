"""The gunicorn app: `gunicorn "backend.web.wsgi:app()"`."""

from __future__ import annotations

from flask import Flask

from backend.process.logs import start_logging
from backend.process.startup import open_journal, open_session
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor


def app() -> Flask:
    """The WSGI app with the settings of the environment."""
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    journal = open_journal(settings)
    predictor = Predictor(settings, journal, lambda: open_session(settings))
    return create_app(settings, journal, predictor)
