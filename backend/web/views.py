"""The views: what Label Studio asks, and what an admin looks at.

They stand for the SDK's routes, whose own views answer an error with 500 and its traceback; the
model's hooks are called as those do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backend.errors import JournalError
from backend.label_studio.connection import PROJECT_HEADER
from backend.label_studio.label_config import parse_label_config
from backend.process.health import Health
from backend.sdk.model import AlfaMixModel
from backend.web import openapi, schemas
from backend.web.bodies import MAX_PREDICT_BYTES, body_of, query_of, valid
from backend.web.status import status, unreadable
from model_store import phases
from model_store.journal import Journal

EXTENSION = "alfa-mix"
blueprint = Blueprint("alfa_mix", __name__)


@dataclass(frozen=True)
class Backend:
    """What the views of one app work with."""

    journal: Journal
    model_class: type[AlfaMixModel]
    registry: CollectorRegistry
    instance: str
    warnings: tuple[str, ...]
    health: Health


def _backend() -> Backend:
    return cast(Backend, current_app.extensions[EXTENSION])


# What Label Studio asks


@blueprint.get("/health")
def health() -> ResponseReturnValue:
    """Whether the backend can work, else why not (503), and by its name which one it is."""
    backend = _backend()
    names = {"model_class": "AlfaMixModel", "instance": backend.instance}
    troubles = backend.health.troubles()
    if troubles:
        return jsonify({"status": "DOWN", "error": "; ".join(troubles)} | names), 503
    return jsonify({"status": "UP"} | names)


@blueprint.post("/setup")
def setup() -> ResponseReturnValue:
    """Answered when the project is connected and each time its Model page is opened.

    Anybody may call it: what it says is noted, for the worker to ask Label Studio about.
    """
    journal, body = _backend().journal, body_of(request, schemas.Setup)
    journal.note_setup(
        body.project,
        backend_url=request.host_url.rstrip("/") + request.script_root,
        token=body.access_token or "",
        hostname=body.hostname or "",
    )
    parse_label_config(body.label_config or "")
    return jsonify({"model_version": journal.model_version(body.project)})


@blueprint.post("/predict")
def predict() -> ResponseReturnValue:
    """One prediction for each task: the model's `predict` hook, as the SDK's own view calls it."""
    body = body_of(request, schemas.Predict, max_bytes=MAX_PREDICT_BYTES)
    if body.label_config:
        parse_label_config(body.label_config)
    model = _backend().model_class(project_id=body.project)
    tasks = [task.model_dump() for task in body.tasks]
    return jsonify({"results": model.predict(tasks), "model_version": model.model_version})


@blueprint.post("/webhook")
def webhook() -> ResponseReturnValue:
    """Record the event and answer; Label Studio waits for this inside a Submit.

    The project is named by the header of a webhook that was put right, or by the payload of the one
    that Label Studio itself makes on connection.
    """
    body = body_of(request, schemas.Webhook)
    if body.project is None and PROJECT_HEADER in request.headers:
        named = {"action": body.action, "project": request.headers[PROJECT_HEADER]}
        body = valid(named, "header", schemas.Webhook)
    return jsonify(_backend().model_class().fit(body.action, _payload(body))), 201


@blueprint.post("/train")
def train() -> ResponseReturnValue:
    """Record a request for training (Label Studio before 1.4.1 called this)."""
    body = body_of(request, schemas.Train)
    return jsonify(_backend().model_class().fit("START_TRAINING", _payload(body))), 201


@blueprint.route("/versions", methods=["GET", "POST"])
def versions() -> ResponseReturnValue:
    """All versions that the queues follow; Label Studio names no project when it asks."""
    journal = _backend().journal
    found = [journal.published_round(state.key) for state in journal.projects()]
    return jsonify({"versions": [state.model_version for state in found if state is not None]})


@blueprint.get("/is_training")
def is_training() -> ResponseReturnValue:
    """Whether anything is computed for the project (or for any), a round or what is behind it."""
    journal = _backend().journal
    named = query_of(request, schemas.Asked).project
    asked = None if named is None else journal.key_of(named)
    states = [state for state in journal.projects() if named is None or asked == state.key]
    rounds = [journal.latest_round(state.key) for state in states]
    training = any(found is not None and found.phase != phases.DONE for found in rounds)
    return jsonify({"is_training": training or any(state.background for state in states)})


@blueprint.post("/job_status")
def job_status() -> ResponseReturnValue:
    """The state of what `/train` or `/webhook` noted; a job's id is its project's key."""
    journal = _backend().journal
    key = body_of(request, schemas.Job).job
    found = journal.latest_round(key)
    if found is None:
        return jsonify({"error": f"there is no job {key!r}"}), 410
    word = "finished" if found.phase == phases.DONE else "started"
    error = getattr(journal.project(key), "last_error", None)
    return jsonify({"job_status": word, "error": error}), 200


def _payload(body: schemas.Webhook | schemas.Train) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_none=True)


# What an admin looks at


@blueprint.get("/status")
def status_page() -> ResponseReturnValue:
    """The state of the backend and of every project; 503 where the journal cannot be read."""
    backend = _backend()
    troubles = backend.health.troubles()
    warnings = [*backend.warnings, *backend.health.notices()]
    try:
        return jsonify(status(backend.journal, troubles, warnings))
    except JournalError as error:
        said = unreadable([*troubles, str(error)], warnings)
        return jsonify(said | {"error": str(error)}), 503


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Prometheus metrics."""
    return Response(generate_latest(_backend().registry), content_type=CONTENT_TYPE_LATEST)


@blueprint.get("/openapi.json")
def openapi_description() -> ResponseReturnValue:
    """The OpenAPI description of these routes."""
    return jsonify(openapi.description())
