"""The gunicorn app: `gunicorn "backend.wsgi:app()"`."""

from __future__ import annotations

import logging

from flask import Flask

from backend.http import create_app
from backend.predictor import Predictor
from backend.settings import Settings
from backend.startup import open_journal, open_session


def app() -> Flask:
    """The WSGI app with the settings of the environment."""
    settings = Settings.from_environ()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(message)s")
    journal = open_journal(settings)
    predictor = Predictor(settings, journal, lambda: open_session(settings))
    return create_app(settings, journal, predictor)
