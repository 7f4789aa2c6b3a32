"""The HTTP surface: the SDK's app, its routes made to record, and the backend's own pages.

Every answer comes from the journal or from stored scores, so it takes milliseconds while a round
trains.
"""

from __future__ import annotations

import hmac
import logging

from flask import Flask, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backend.errors import AlfaMixError, LabelConfigError
from backend.label_studio.connection import PROJECT_HEADER
from backend.label_studio.label_config import parse_label_config
from backend.sdk.compatibility import sdk_app
from backend.sdk.model import AlfaMixModel, project_of
from backend.settings import Settings
from backend.web.predictor import Predictor, WebServices
from backend.web.status import metrics_registry, status
from model_store.journal import Journal

logger = logging.getLogger(__name__)

OPEN_PATHS = ("/health", "/")
MAX_BODY_BYTES = 64 * 2**20


def create_app(settings: Settings, journal: Journal, predictor: Predictor) -> Flask:
    """The WSGI app of one backend."""
    model_class = AlfaMixModel.bound_to(WebServices(journal, predictor))
    app = sdk_app(model_class, str(settings.model_dir))
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_authentication(settings))
    app.before_request(_refuse_malformed)
    app.register_error_handler(AlfaMixError, _refused)
    _replace_sdk_views(app, model_class, journal, predictor)
    _add_own_views(app, journal)
    return app


def _authentication(settings: Settings):
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


def _refused(error: AlfaMixError) -> tuple[Response, str]:
    # Label Studio's Model page drops the body and shows the reason phrase, as HTML.
    words = " ".join(str(error).replace("<", "").replace(">", "").split())
    phrase = words.encode("ascii", "replace").decode()
    return jsonify({"error": str(error)}), f"400 {phrase}"


def _replace_sdk_views(
    app: Flask, model_class: type[AlfaMixModel], journal: Journal, predictor: Predictor
) -> None:
    sdk_predict = app.view_functions["_predict"]

    def setup() -> Response:
        """Answered when the project is connected and each time its Model page is opened."""
        body = request.get_json()
        key = project_of(body)
        if "." not in key:
            raise AlfaMixError(f"found project {key!r}; needed is Label Studio's id.createdEpoch")
        schema = str(body.get("schema") or "")
        journal.note_setup(
            key,
            label_config=schema,
            backend_url=request.host_url.rstrip("/") + request.script_root,
            token=str(body.get("access_token") or ""),
            hostname=str(body.get("hostname") or ""),
        )
        try:
            parse_label_config(schema)
        except LabelConfigError as error:
            journal.set_error(key, str(error))
            raise
        return jsonify({"model_version": predictor.version(key)})

    def predict() -> Response:
        """The SDK's view, with the backend's own errors as 400 instead of a traceback."""
        body = request.get_json()
        if not isinstance(body.get("tasks"), list):
            raise AlfaMixError(f"found no list of tasks (fields: {sorted(body)}); needed is tasks")
        config = body.get("label_config")
        if config:
            parse_label_config(config)
        return sdk_predict()

    def webhook() -> tuple[Response, int]:
        """Record the event and answer; Label Studio waits for this inside a Submit.

        The project is named by the header of a webhook that was put right, or by the payload of
        the one that Label Studio itself makes on connection.
        """
        body = request.get_json()
        event = str(body.get("action") or "")
        if PROJECT_HEADER in request.headers:
            body.setdefault("project", request.headers[PROJECT_HEADER])
        return jsonify(model_class().fit(event, body)), 201

    def train() -> tuple[Response, int]:
        """Record a request for training (Label Studio before 1.4.1 called this)."""
        return jsonify(model_class().fit("START_TRAINING", request.get_json())), 201

    app.view_functions["_setup"] = setup
    app.view_functions["_predict"] = predict
    app.view_functions["webhook"] = webhook
    app.view_functions["_train"] = train
    app.view_functions["health"] = lambda: jsonify({"status": "UP", "model_class": "AlfaMixModel"})


def _add_own_views(app: Flask, journal: Journal) -> None:
    registry = metrics_registry(journal)

    def versions() -> Response:
        """All versions that the queues follow; Label Studio names no project when it asks."""
        found = [journal.published_round(state.key) for state in journal.projects()]
        return jsonify({"versions": [state.model_version for state in found if state is not None]})

    def is_training() -> Response:
        """Whether a round of the project (or of any) is under way."""
        asked = journal.key_of(request.args.get("project", ""))
        states = [state for state in journal.projects() if asked in (None, state.key)]
        rounds = [journal.latest_round(state.key) for state in states]
        training = any(found is not None and found.phase != "done" for found in rounds)
        return jsonify({"is_training": training})

    def job_status() -> tuple[Response, int]:
        """The state of what `/train` or `/webhook` noted; a job's id is its project's key."""
        key = str(request.get_json().get("job") or "")
        found = journal.latest_round(key)
        if found is None:
            return jsonify({"error": f"there is no job {key!r}"}), 410
        done = found.phase == "done"
        error = getattr(journal.project(key), "last_error", None)
        return jsonify({"job_status": "finished" if done else "started", "error": error}), 200

    def status_page() -> Response:
        """The state of every project."""
        return jsonify(status(journal))

    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    app.view_functions["metrics"] = metrics
    _route(app, "/versions", "versions", versions, ["GET", "POST"])
    _route(app, "/is_training", "is_training", is_training, ["GET"])
    _route(app, "/job_status", "job_status", job_status, ["POST"])
    _route(app, "/status", "status", status_page, ["GET"])


def _route(app: Flask, path: str, endpoint: str, view, methods: list[str]) -> None:
    # Where the SDK has the path already, its view is replaced; a method it lacks gets a rule.
    known: set[str] = set()
    for rule in app.url_map.iter_rules():
        if rule.rule == path:
            app.view_functions[rule.endpoint] = view
            known |= rule.methods or set()
    missing = [method for method in methods if method not in known]
    if missing:
        app.add_url_rule(path, endpoint, view, methods=missing)
