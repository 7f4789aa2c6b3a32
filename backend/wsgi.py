"""The gunicorn app: `gunicorn "backend.wsgi:app()"`."""

from __future__ import annotations

from flask import Flask

from backend.http import create_app
from backend.logs import start_logging
from backend.predictor import Predictor
from backend.settings import Settings
from backend.startup import open_journal, open_session


def app() -> Flask:
    """The WSGI app with the settings of the environment."""
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    journal = open_journal(settings)
    predictor = Predictor(settings, journal, lambda: open_session(settings))
    return create_app(settings, journal, predictor)
