"""The WSGI app of one backend: what Label Studio asks, and the backend's own pages.

Every answer comes from the journal or from stored scores, so it takes milliseconds while a round
trains.
"""

from __future__ import annotations

import json
import logging
import re

from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from backend.errors import AlfaMixError, StoreError
from backend.process.exposure import exposure
from backend.process.health import Health
from backend.process.startup import folder_of
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from backend.web import views
from backend.web.authentication import authentication
from backend.web.metrics import metrics_registry
from backend.web.negotiation import wants_page
from backend.web.pages import services as pages
from backend.web.pages.actions import blueprint as pages_blueprint
from backend.web.pages.examinations import Examinations
from backend.web.pages.quality import Qualities
from backend.web.pages.safety import make_safe
from backend.web.pages.selections import Selections
from backend.web.pages.similar import COMPARISONS_AT_ONCE
from backend.web.pages.thumbnails import Thumbnails
from backend.web.pages.turns import Turns
from backend.web.pages.views import not_served
from backend.web.predictor import Predictor
from backend.web.services import WebServices
from model_store.journal import Journal

logger = logging.getLogger(__name__)

PHRASE_CHARACTERS = 1000
NOT_IN_A_PHRASE = re.compile(r"[^ -;=?-~]")


def create_app(settings: Settings, journal: Journal, predictor: Predictor) -> Flask:
    """The app that answers for all projects of one Label Studio."""
    model_class = AlfaMixModel.bound_to(WebServices(journal, predictor))
    app = Flask("backend", static_folder=None)
    app.before_request(authentication(settings))
    app.register_error_handler(AlfaMixError, _refused)
    app.register_error_handler(StoreError, _unreadable)
    app.register_error_handler(HTTPException, _not_served)
    app.register_error_handler(Exception, _unexpected)
    backend = views.Backend(
        journal,
        model_class,
        metrics_registry(journal),
        journal.instance(),
        warnings=tuple(filter(None, [exposure(settings)])),
        health=Health(settings, journal),
    )
    app.extensions[views.EXTENSION] = backend
    app.register_blueprint(views.blueprint)
    _add_pages(app, settings, backend)
    return app


def _add_pages(app: Flask, settings: Settings, backend: views.Backend) -> None:
    make_safe(app, folder_of(settings), backend.instance)
    app.extensions[pages.EXTENSION] = pages.Pages(
        settings,
        backend.journal,
        Selections(settings),
        Thumbnails(settings),
        Turns(COMPARISONS_AT_ONCE, "too many images are being compared; ask again"),
        Examinations(),
        Qualities(),
        lambda: [*backend.health.troubles(), *backend.warnings, *backend.health.notices()],
    )
    app.register_blueprint(pages_blueprint)


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


def _not_served(error: HTTPException) -> ResponseReturnValue:
    if wants_page(request):
        return not_served(error)
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
