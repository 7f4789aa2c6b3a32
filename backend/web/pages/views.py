"""What the admin looks at."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    get_flashed_messages,
    jsonify,
    make_response,
    request,
    send_file,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from backend.errors import AlfaMixError, ImageError, StoreError
from backend.web import views as machine
from backend.web.bodies import query_of
from backend.web.negotiation import wants_page
from backend.web.pages.backtest import verdict
from backend.web.pages.contexts import AccuracyFragment, ErrorPage, FindingsFragment
from backend.web.pages.forms import Shown
from backend.web.pages.home import cards, home_page
from backend.web.pages.hosts import is_own_host
from backend.web.pages.pool_map import map_points
from backend.web.pages.progress import project_progress
from backend.web.pages.project import project_page
from backend.web.pages.rendering import rendered
from backend.web.pages.safety import csrf_token
from backend.web.pages.services import pages
from backend.web.pages.similar import most_alike
from backend.web.pages.turns import Busy
from model_store.journal import ProjectState
from model_store.project_folder import PICTURE_NAME

ROOM = Path(__file__).resolve().parent.parent
YEAR_S = 365 * 24 * 3600
PLACEHOLDER = """<svg xmlns="http://www.w3.org/2000/svg" width="128" height="128" role="img">
<title>{reason}</title><rect width="128" height="128" fill="#8882"/>
<path d="M40 40l48 48M88 40l-48 48" stroke="#888" stroke-width="6" stroke-linecap="round"/></svg>"""

blueprint = Blueprint(
    "pages", __name__, template_folder=str(ROOM / "templates"), static_folder=str(ROOM / "static")
)
ID = f"int(max={2**63 - 1})"


@blueprint.before_request
def refuse_names_of_others() -> None:
    """Without credentials, show nothing to a site that has its name lead here."""
    here = pages()
    if here.settings.basic_auth_user or not _tells_of_projects():
        return
    if not is_own_host(request.host, here.settings, here.journal):
        abort(
            421,
            f"found the name {request.host!r}, which may be another site's; needed without "
            "credentials is an IP address, a name without a dot, or that of ALFAMIX_PUBLIC_URL. "
            "Set ALFAMIX_PUBLIC_URL to the URL in the browser, or BASIC_AUTH_USER and "
            "BASIC_AUTH_PASS",
        )


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """All projects to a browser; to a program the same as /health."""
    if wants_page(request):
        here, own_url = pages(), request.host_url.rstrip("/") + request.script_root
        page = home_page(here.settings, here.journal, own_url, here.warnings())
        response = make_response(rendered(page))
    else:
        response = make_response(machine.health())
    response.vary.add("Accept")
    return response


@blueprint.get("/progress")
def all_progress() -> ResponseReturnValue:
    """How far everything is, by project."""
    here = pages()
    found = cards(here.settings, here.journal)
    return _polled({str(card.project_id): asdict(card.progress) for card in found})


@blueprint.get(f"/projects/<{ID}:project_id>")
def project(project_id: int) -> ResponseReturnValue:
    """One project."""
    here, state = pages(), pages().project(project_id)
    start = query_of(request, Shown).start
    return rendered(
        project_page(
            *(here.settings, here.journal, here.folder(state), state),
            start=start,
            csrf_token=csrf_token(),
            said=[str(words) for words in get_flashed_messages()],
        )
    )


@blueprint.get(f"/projects/<{ID}:project_id>/progress")
def progress(project_id: int) -> ResponseReturnValue:
    """How far one project is, and what became of the tasks that its page shows."""
    here, state = pages(), pages().project(project_id)
    start = query_of(request, Shown).start
    published = here.journal.published_round(state.key)
    found = project_progress(here.journal, state, published, start)
    return _polled({str(project_id): asdict(found)})


@blueprint.get(f"/projects/<{ID}:project_id>/map")
def pool_map(project_id: int) -> ResponseReturnValue:
    """The points of a project's map."""
    here, state = pages(), pages().project(project_id)
    published = here.journal.published_round(state.key)
    return _polled(map_points(here.journal, here.folder(state), state.key, published))


@blueprint.get(f"/projects/<{ID}:project_id>/alike/<{ID}:task_id>")
def alike(project_id: int, task_id: int) -> ResponseReturnValue:
    """The tasks that wait for a label and are most like one; none where nobody can tell."""
    here, state = pages(), pages().project(project_id)
    image_key, _uri = _source(state, task_id)
    published = here.journal.published_round(state.key)
    try:
        with here.comparisons.take():
            found = most_alike(here.journal, here.folder(state), state.key, published, image_key)
    except Busy:
        return _ask_again()
    return jsonify({"task_ids": found})


@blueprint.get(f"/projects/<{ID}:project_id>/thumbnails/<{ID}:task_id>")
def thumbnail(project_id: int, task_id: int) -> ResponseReturnValue:
    """A task's small picture; a cross where it has none."""
    here, state = pages(), pages().project(project_id)
    key, uri = _source(state, task_id)
    folder = here.folder(state).path
    try:
        path = here.thumbnails.file(folder, state, task_id, key, uri)
    except Busy:
        return _ask_again()
    except ImageError as error:
        picture = PLACEHOLDER.format(reason=escape(str(error)))
        return Response(picture, mimetype="image/svg+xml", headers={"Cache-Control": "no-cache"})
    response = send_file(path, mimetype="image/webp", conditional=True, etag=key)
    is_named = request.args.get("v") == key
    response.headers["Cache-Control"] = f"private, max-age={YEAR_S if is_named else 600}"
    return response


@blueprint.get(f"/projects/<{ID}:project_id>/models/<name>")
def model(project_id: int, name: str) -> ResponseReturnValue:
    """A round's or a network's checkpoint, while it is kept."""
    here, state = pages(), pages().project(project_id)
    kept = {path.name: path for path in here.folder(state).checkpoints.glob("*.safetensors")}
    if name not in kept:
        abort(404, "This model is not kept any more; the last five are.")
    file_name = f"project-{project_id}-{name}"
    return send_file(kept[name], as_attachment=True, download_name=file_name)


@blueprint.get(f"/projects/<{ID}:project_id>/quality")
def quality(project_id: int) -> ResponseReturnValue:
    """The learning curve and what is confused; it takes longer than the page."""
    here, state = pages(), pages().project(project_id)
    return rendered(here.qualities.of(here.settings, here.journal, state, here.folder(state)))


@blueprint.get(f"/projects/<{ID}:project_id>/accuracy")
def accuracy(project_id: int) -> ResponseReturnValue:
    """The accuracy in a line, and what a backtest said of the project's strategy."""
    here, state = pages(), pages().project(project_id)
    found = here.qualities.of(here.settings, here.journal, state, here.folder(state))
    strategy = here.settings.of_project(state.own_settings).strategy
    said = verdict(here.folder(state), strategy)
    return rendered(AccuracyFragment(found.measured, found.accuracy, found.is_drawn, said))


@blueprint.get(f"/projects/<{ID}:project_id>/backtest.png")
def backtest_picture(project_id: int) -> ResponseReturnValue:
    """The learning curves of the last backtest."""
    path = pages().folder(pages().project(project_id)).backtest / PICTURE_NAME
    if not path.is_file():
        abort(404, "No backtest has ended yet.")
    return send_file(path, mimetype="image/png", max_age=0)


@blueprint.get("/findings")
def findings() -> ResponseReturnValue:
    """What the doctor finds of the backend itself."""
    return _findings(None)


@blueprint.get(f"/projects/<{ID}:project_id>/findings")
def project_findings(project_id: int) -> ResponseReturnValue:
    """What the doctor finds of one project."""
    pages().project(project_id)
    return _findings(project_id)


@blueprint.errorhandler(HTTPException)
def not_served(error: HTTPException) -> ResponseReturnValue:
    """The page of an error."""
    return _error(error.name, error.description or error.name, error.code or 500)


@blueprint.errorhandler(AlfaMixError)
def refused(error: AlfaMixError) -> ResponseReturnValue:
    """The page of what was refused; what is stored is spoken of in the log alone."""
    if isinstance(error, StoreError):
        message = "What is stored cannot be read or written; the log says more."
        return _error("Not now", message, 503)
    return _error("Refused", str(error), 400)


def _source(state: ProjectState, task_id: int) -> tuple[str, str]:
    """The key and the URI of a task's image; else the answer is 404."""
    source = pages().journal.overview.source(state.key, task_id)
    if source is None:
        abort(404, f"Task {task_id} has no image.")
    return source


def _ask_again() -> Response:
    return Response("ask again", 503, {"Retry-After": "1"})


def _tells_of_projects() -> bool:
    """Not what is the same everywhere, nor what `/` answers a program."""
    is_health = request.endpoint == "pages.home" and not wants_page(request)
    return request.endpoint != "pages.static" and not is_health


def _findings(project_id: int | None) -> ResponseReturnValue:
    found = pages().examinations.of(project_id)
    fragment = FindingsFragment(found.findings if found else (), found is not None)
    return rendered(fragment), 200 if found else 202


def _error(heading: str, message: str, status: int) -> ResponseReturnValue:
    return rendered(ErrorPage(heading, message)), status


def _polled(values: dict[str, Any]) -> Response:
    """Values as JSON, or 304 where they are what the browser has."""
    response = jsonify(values)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
