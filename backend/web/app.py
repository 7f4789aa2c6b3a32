"""The WSGI app of one backend: what Label Studio asks, and the backend's own pages.

Every answer comes from the journal or from stored scores, so it takes milliseconds while a round
trains.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from flask import Flask, Response, jsonify, request

from backend.errors import AlfaMixError
from backend.sdk.compatibility import sdk_app
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from backend.web import views
from backend.web.metrics import metrics_registry
from backend.web.predictor import Predictor
from backend.web.services import WebServices
from model_store.journal import Journal

OPEN_PATHS = ("/health", "/")
MAX_BODY_BYTES = 64 * 2**20


def create_app(settings: Settings, journal: Journal, predictor: Predictor) -> Flask:
    """The app that answers for all projects of one Label Studio."""
    model_class = AlfaMixModel.bound_to(WebServices(journal, predictor))
    sdk = sdk_app(model_class, str(settings.model_dir))
    app = Flask("backend")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_authentication(settings))
    app.before_request(_refuse_malformed)
    app.register_error_handler(AlfaMixError, _refused)
    app.extensions[views.EXTENSION] = views.Backend(
        journal, model_class, sdk.view_functions["_predict"], metrics_registry(journal)
    )
    app.register_blueprint(views.blueprint)
    return app


def _authentication(settings: Settings) -> Callable[[], Response | None]:
    user, password = settings.basic_auth_user, settings.basic_auth_pass

    def authenticate() -> Response | None:
        # Label Studio's health check carries the credentials too, a container's does not.
        if not user or request.path in OPEN_PATHS:
            return None
        found = request.authorization
        given = (found.username or "", found.password or "") if found else ("", "")
        matches = [
            hmac.compare_digest(a.encode(), b.encode())
            for a, b in zip(given, (user, password), strict=True)
        ]
        if all(matches):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="ML backend"'}
        return Response("BASIC_AUTH_USER and BASIC_AUTH_PASS are needed here", 401, challenge)

    return authenticate


def _refuse_malformed() -> None:
    if request.method == "POST" and not isinstance(request.get_json(silent=True), dict):
        raise AlfaMixError(
            f"found a body of type {request.content_type!r} that is no JSON object; needed is what "
            "Label Studio sends"
        )


def _refused(error: AlfaMixError) -> Response:
    # Label Studio's Model page drops the body and shows the reason phrase, as HTML.
    words = " ".join(str(error).replace("<", "").replace(">", "").split())
    phrase = words.encode("ascii", "replace").decode()
    answer = jsonify({"error": str(error)})
    answer.status = f"400 {phrase}"
    return answer
