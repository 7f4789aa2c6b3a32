"""The WSGI app of one backend: what Label Studio asks, and the backend's own pages.

Every answer comes from the journal or from stored scores, so it takes milliseconds while a round
trains.
"""

from __future__ import annotations

import json
import logging
import re

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as WerkzeugResponse

from backend.errors import AlfaMixError, StoreError
from backend.process.exposure import exposure
from backend.process.health import Health
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from backend.web import views
from backend.web.authentication import authentication
from backend.web.metrics import metrics_registry
from backend.web.predictor import Predictor
from backend.web.services import WebServices
from model_store.journal import Journal

logger = logging.getLogger(__name__)

PHRASE_CHARACTERS = 1000
NOT_IN_A_PHRASE = re.compile(r"[^ -;=?-~]")


def create_app(settings: Settings, journal: Journal, predictor: Predictor) -> Flask:
    """The app that answers for all projects of one Label Studio."""
    model_class = AlfaMixModel.bound_to(WebServices(journal, predictor))
    app = Flask("backend")
    app.before_request(authentication(settings))
    app.register_error_handler(AlfaMixError, _refused)
    app.register_error_handler(StoreError, _unreadable)
    app.register_error_handler(HTTPException, _not_served)
    app.register_error_handler(Exception, _unexpected)
    app.extensions[views.EXTENSION] = views.Backend(
        journal,
        model_class,
        metrics_registry(journal),
        journal.instance(),
        warnings=tuple(filter(None, [exposure(settings)])),
        health=Health(settings, journal),
    )
    app.register_blueprint(views.blueprint)
    return app


def _refused(error: AlfaMixError) -> Response:
    # Label Studio's Model page drops the body and shows the reason phrase, as HTML.
    words = " ".join(str(error).split())[:PHRASE_CHARACTERS]
    phrase = NOT_IN_A_PHRASE.sub("", words.encode("ascii", "replace").decode())
    answer = jsonify({"error": str(error)})
    answer.status = f"400 {phrase}"
    return answer


def _unreadable(error: StoreError) -> tuple[Response, int]:
    # The message names paths.
    logger.error("%s %s: %s", request.method, request.path, error)
    return jsonify({"error": "what is stored cannot be read or written; the log says more"}), 503


def _not_served(error: HTTPException) -> WerkzeugResponse:
    response = error.get_response()
    response.set_data(json.dumps({"error": _words(error)}))
    response.content_type = "application/json"
    return response


def _words(error: HTTPException) -> str:
    if isinstance(error, RequestEntityTooLarge):
        most = request.max_content_length
        return f"found a body of {request.content_length} bytes; needed is at most {most}"
    return error.description or error.name


def _unexpected(error: Exception) -> tuple[Response, int]:
    logger.exception("%s %s: unexpected error", request.method, request.path)
    return jsonify({"error": "unexpected error; the log says more"}), 500
