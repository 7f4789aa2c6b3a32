"""What the admin changes. Each form is asked about first, where it cannot be taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import abort, flash, redirect, request
from flask.typing import ResponseReturnValue

from backend.errors import SettingsError
from backend.settings import Settings
from backend.web.bodies import valid
from backend.web.pages import wording
from backend.web.pages.contexts import ConfirmPage, OnwardPage
from backend.web.pages.forms import OwnSettings, Selected
from backend.web.pages.links import data_url
from backend.web.pages.project import project_page
from backend.web.pages.rendering import rendered
from backend.web.pages.safety import check_form, csrf_token
from backend.web.pages.services import pages
from backend.web.pages.turns import Busy
from backend.web.pages.views import ID, blueprint
from model_store.journal import Journal, ProjectState

# Of a form; 900 ids of 19 digits are less.
MAX_FORM_BYTES = 64 * 2**10
# Of a setting.
MAX_TEXT = 40


@dataclass(frozen=True)
class Question:
    """What is asked before something is done, and what does it."""

    question: str
    explanation: str
    button: str
    act: Callable[[Journal, str], None]


def _train(journal: Journal, key: str) -> None:
    journal.note_changed(key, training_requested=True)


def _pause(journal: Journal, key: str) -> None:
    journal.update_project(key, is_paused=True)
    journal.note_changed(key)


def _resume(journal: Journal, key: str) -> None:
    journal.update_project(key, is_paused=False)
    journal.note_changed(key)


def _backtest(journal: Journal, key: str) -> None:
    if not journal.ask_for_backtest(key):
        abort(409, "A backtest of this project was asked for already; its page says how far it is.")
    journal.note_changed(key)


def _take_back(journal: Journal, key: str) -> None:
    journal.asked.take_back(key)
    journal.note_changed(key)


QUESTIONS = {
    "train": Question(
        "Start a round now?",
        "The head is fitted on all labels and the queue follows a new ranking within seconds; a "
        "fine-tuning follows behind it. Whoever has a task open keeps it.",
        "Start a round",
        _train,
    ),
    "pause": Question(
        "Pause this project?",
        "No round and no fine-tuning begins until you let it go on. People go on labeling: the "
        "queue is supplied from the last ranking.",
        "Pause",
        _pause,
    ),
    "resume": Question(
        "Let this project go on?",
        "Rounds begin again when they are due by labels.",
        "Go on",
        _resume,
    ),
    "take-back": Question(
        "Put these tasks first no longer?",
        "Those that are at the front of the queue already stay there until the next round.",
        "Take it back",
        _take_back,
    ),
    "backtest": Question(
        "Run a backtest?",
        "It hides the labels and reveals them again to each strategy, five times: that takes "
        "hours without a GPU. It gives way to everything else, and changes nothing.",
        "Run the backtest",
        _backtest,
    ),
}


PUT_OFF = "The project is paused: the round begins once you let it go on."


@blueprint.get(f"/projects/<{ID}:project_id>/confirm/<name>")
def confirm(project_id: int, name: str) -> ResponseReturnValue:
    """The question before something is done."""
    state, asked = pages().project(project_id), _question(name)
    is_put_off = state.is_paused and name == "train"
    return rendered(
        ConfirmPage(
            project_id=project_id,
            title=state.title or f"Project {project_id}",
            question=asked.question,
            explanation=PUT_OFF if is_put_off else asked.explanation,
            button=asked.button,
            action=name,
            csrf_token=csrf_token(),
        )
    )


@blueprint.post(f"/projects/<{ID}:project_id>/do/<name>")
def do(project_id: int, name: str) -> ResponseReturnValue:
    """Do what was asked about."""
    state = _checked(project_id)
    _question(name).act(pages().journal, state.key)
    return _back(project_id)


@blueprint.post(f"/projects/<{ID}:project_id>/settings")
def set_settings(project_id: int) -> ResponseReturnValue:
    """Set what is the project's own; with errors the page again, each beside its field."""
    here, state = pages(), _checked(project_id)
    posted = valid(request.form.to_dict(), "form", OwnSettings).model_dump()
    own = {name: text.strip() for name, text in posted.items() if text.strip()}
    errors = _errors(here.settings, own)
    if not errors:
        here.journal.update_project(state.key, own_settings=own)
        here.journal.note_changed(state.key)
        return _back(project_id, "settings")
    page = project_page(
        *(here.settings, here.journal, here.folder(state), state),
        csrf_token=csrf_token(),
        posted=posted,
        errors=errors,
    )
    return rendered(page), 400


@blueprint.post(f"/projects/<{ID}:project_id>/first")
def ask_first(project_id: int) -> ResponseReturnValue:
    """Put tasks before all others in the queue, those that wait for a label, and say how many."""
    here, state = pages(), _checked(project_id)
    chosen = _selected(state)
    waiting = here.journal.tasks.open_among(state.key, chosen)
    here.journal.asked.first(state.key, [task_id for task_id in chosen if task_id in waiting])
    here.journal.note_changed(state.key)
    flash(wording.put_first(len(waiting), len(chosen)))
    return _back(project_id, "batch")


@blueprint.post(f"/projects/<{ID}:project_id>/open")
def open_tasks(project_id: int) -> ResponseReturnValue:
    """Show tasks in the Data Manager, in a tab of their own."""
    here, state = pages(), _checked(project_id)
    try:
        tab_id = here.selections.tab_of(state, _selected(state))
    except Busy as error:
        abort(503, str(error))
    return rendered(OnwardPage(f"{data_url(here.settings, state)}?tab={tab_id}"))


def _checked(project_id: int) -> ProjectState:
    """The project of a form that may be believed."""
    request.max_content_length = MAX_FORM_BYTES
    check_form(request, pages().settings)
    return pages().project(project_id)


def _question(name: str) -> Question:
    if name not in QUESTIONS:
        abort(404, "There is no such button.")
    return QUESTIONS[name]


def _selected(state: ProjectState) -> list[int]:
    """Those of the tasks named that are the project's. RequestError."""
    found = valid(request.form.to_dict(), "form", Selected).task_ids
    kept = pages().journal.tasks.known_among(state.key, found)
    if not kept:
        abort(404, "The project has none of these tasks.")
    return [task_id for task_id in dict.fromkeys(found) if task_id in kept]


def _errors(settings: Settings, own: dict[str, str]) -> dict[str, str]:
    """What is wrong with each setting."""
    errors = {}
    for name, text in own.items():
        if len(text) > MAX_TEXT:
            errors[name] = f"found {len(text):,} characters; needed is at most {MAX_TEXT}"
            continue
        try:
            settings.of_project({name: text})
        except SettingsError as error:
            errors[name] = str(error)
    return errors


def _back(project_id: int, place: str = "") -> ResponseReturnValue:
    """Back to the project's page, relatively: a proxy may have put the backend under any path."""
    above = "../" * (request.path.count("/") - 2)
    response = redirect(f"{above}{project_id}" + (f"#{place}" if place else ""), 303)
    response.autocorrect_location_header = False
    return response
