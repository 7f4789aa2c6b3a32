"""The gunicorn app: `gunicorn "backend.web.wsgi:app()"`."""

from __future__ import annotations

import logging

from flask import Flask

from backend.process.exposure import exposure, keep_files_private
from backend.process.logs import start_logging
from backend.process.startup import open_journal, open_session
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor

logger = logging.getLogger(__name__)

# Label Studio waits for an event for a second; one that cannot be noted is found by polling.
BUSY_S = 2.0


def app() -> Flask:
    """The WSGI app with the settings of the environment."""
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    keep_files_private()
    said = exposure(settings)
    if said:
        logger.warning("%s", said)
    journal = open_journal(settings)
    predictor = Predictor(settings, journal, lambda: open_session(settings))
    made = create_app(settings, journal, predictor)
    journal.upkeep.limit_waiting(BUSY_S)
    return made
