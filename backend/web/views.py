"""The views: what Label Studio asks, and what an admin looks at.

They stand for the SDK's routes. Its view of `/predict` is called from ours: it is where the model's
`predict` hook runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue, RouteCallable
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from backend.errors import AlfaMixError, LabelConfigError
from backend.label_studio.connection import PROJECT_HEADER
from backend.label_studio.label_config import parse_label_config
from backend.sdk.model import AlfaMixModel, project_of
from backend.web.status import status
from model_store import phases
from model_store.journal import Journal

EXTENSION = "alfa-mix"
blueprint = Blueprint("alfa_mix", __name__)


@dataclass(frozen=True)
class Backend:
    """What the views of one app work with."""

    journal: Journal
    model_class: type[AlfaMixModel]
    sdk_predict: RouteCallable
    registry: CollectorRegistry


def _backend() -> Backend:
    return cast(Backend, current_app.extensions[EXTENSION])


# What Label Studio asks


@blueprint.get("/health")
@blueprint.get("/")
def health() -> ResponseReturnValue:
    """Whether the web process is up."""
    return jsonify({"status": "UP", "model_class": "AlfaMixModel"})


@blueprint.post("/setup")
def setup() -> ResponseReturnValue:
    """Answered when the project is connected and each time its Model page is opened."""
    journal, body = _backend().journal, request.get_json()
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
    return jsonify({"model_version": journal.model_version(key)})


@blueprint.post("/predict")
def predict() -> ResponseReturnValue:
    """The SDK's view, with the backend's own errors as 400 instead of a traceback."""
    body = request.get_json()
    if not isinstance(body.get("tasks"), list):
        raise AlfaMixError(f"found no list of tasks (fields: {sorted(body)}); needed is tasks")
    config = body.get("label_config")
    if config:
        parse_label_config(config)
    return cast(ResponseReturnValue, _backend().sdk_predict())


@blueprint.post("/webhook")
def webhook() -> ResponseReturnValue:
    """Record the event and answer; Label Studio waits for this inside a Submit.

    The project is named by the header of a webhook that was put right, or by the payload of the one
    that Label Studio itself makes on connection.
    """
    body = request.get_json()
    event = str(body.get("action") or "")
    if PROJECT_HEADER in request.headers:
        body.setdefault("project", request.headers[PROJECT_HEADER])
    return jsonify(_backend().model_class().fit(event, body)), 201


@blueprint.post("/train")
def train() -> ResponseReturnValue:
    """Record a request for training (Label Studio before 1.4.1 called this)."""
    return jsonify(_backend().model_class().fit("START_TRAINING", request.get_json())), 201


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
    asked = journal.key_of(request.args.get("project", ""))
    states = [state for state in journal.projects() if asked in (None, state.key)]
    rounds = [journal.latest_round(state.key) for state in states]
    training = any(found is not None and found.phase != phases.DONE for found in rounds)
    return jsonify({"is_training": training or any(state.background for state in states)})


@blueprint.post("/job_status")
def job_status() -> ResponseReturnValue:
    """The state of what `/train` or `/webhook` noted; a job's id is its project's key."""
    journal = _backend().journal
    key = str(request.get_json().get("job") or "")
    found = journal.latest_round(key)
    if found is None:
        return jsonify({"error": f"there is no job {key!r}"}), 410
    word = "finished" if found.phase == phases.DONE else "started"
    error = getattr(journal.project(key), "last_error", None)
    return jsonify({"job_status": word, "error": error}), 200


# What an admin looks at


@blueprint.get("/status")
def status_page() -> ResponseReturnValue:
    """The state of every project."""
    return jsonify(status(_backend().journal))


@blueprint.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Prometheus metrics."""
    return Response(generate_latest(_backend().registry), content_type=CONTENT_TYPE_LATEST)
