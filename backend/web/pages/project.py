"""The page of one project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from backend.label_studio.wording import shown_uri
from backend.settings import OF_A_PROJECT, STRATEGIES, Settings
from backend.web.pages import wording
from backend.web.pages.backtest import backtest_of
from backend.web.pages.batch import batch_of
from backend.web.pages.contexts import (
    ClassShare,
    NetworkRow,
    ProjectPage,
    RoundRow,
    SettingField,
    UnreadableRow,
)
from backend.web.pages.links import data_url, task_url
from backend.web.pages.progress import project_progress
from model_store.journal import Journal, ProjectState, RoundState
from model_store.overview import ClassCount, LeftOut
from model_store.project_folder import ProjectFolder
from model_store.tunings import Tuning

SHOWN_ROUNDS = 20
SHOWN_UNREADABLE = 50
TITLES = {
    "budget": "Labels a round",
    "strategy": "Strategy",
    "audit": "Share drawn at random",
    "preselect": "Pre-select the predicted class",
}
CHOICES = {"strategy": STRATEGIES, "preselect": ("on", "off")}


def project_page(
    settings: Settings,
    journal: Journal,
    folder: ProjectFolder,
    state: ProjectState,
    *,
    start: int = 0,
    csrf_token: str,
    said: Sequence[str] = (),
    posted: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> ProjectPage:
    """All that is shown of one project.

    start: place of the batch that is shown first. said: see ProjectPage. posted, errors: settings
    that were refused.
    """
    published = journal.published_round(state.key)
    total, left_out = journal.overview.left_out(state.key, SHOWN_UNREADABLE)
    own = state.own_settings if posted is None else posted
    progress = project_progress(journal, state, published, start)
    return ProjectPage(
        project_id=state.project_id,
        said=said,
        title=state.title or f"Project {state.project_id}",
        is_connected=state.connected,
        label_studio_url=data_url(settings, state),
        model_version="" if published is None else published.model_version,
        progress=progress,
        batch=batch_of(
            *(settings, journal, folder, state, published),
            start=start,
            total=progress.batch_total,
        ),
        balance=_balance(journal.overview.class_counts(state.key), published),
        has_map=bool(folder.map_files()),
        backtest=backtest_of(folder, settings.of_project(state.own_settings).strategy),
        rounds=[_round(folder, one) for one in journal.rounds(state.key, SHOWN_ROUNDS)],
        networks=[
            _network(folder, one) for one in journal.overview.networks(state.key, SHOWN_ROUNDS)
        ],
        unreadable=[_unreadable(settings, state, one) for one in left_out],
        unreadable_total=total,
        settings=setting_fields(settings, own, errors or {}),
        csrf_token=csrf_token,
    )


def setting_fields(
    settings: Settings, own: Mapping[str, str], errors: Mapping[str, str]
) -> list[SettingField]:
    """What a project may have for itself, beside what the environment says."""
    known = {each.name: each for each in fields(settings)}
    return [
        SettingField(
            name=name,
            title=TITLES[name],
            variable=known[name].metadata["variable"],
            help=known[name].metadata["help"].replace("`", ""),
            own=own.get(name, ""),
            default=_shown(getattr(settings, name)),
            choices=CHOICES.get(name, ()),
            error=errors.get(name, ""),
        )
        for name in OF_A_PROJECT
    ]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "10 per class" if value is None else str(value)


def _balance(counts: Sequence[ClassCount], published: RoundState | None) -> list[ClassShare]:
    """Labels of each class, also of those that the label config has and nobody gave yet."""
    named = {one.class_name for one in counts}
    classes = [] if published is None else published.classes
    counts = [*counts, *(ClassCount(name, 0) for name in classes if name not in named)]
    most = max([1, *(one.count for one in counts)])
    return [ClassShare(one.class_name, one.count, 100 * one.count // most) for one in counts]


def _round(folder: ProjectFolder, state: RoundState) -> RoundRow:
    statistics = dict(state.statistics)
    reason = str(statistics.pop("reason", ""))
    return RoundRow(
        number=state.number,
        reason=reason,
        strategy=state.strategy,
        labels=state.n_labeled,
        pool=state.n_pool,
        started=wording.moment(state.started_at),
        seconds=[
            (wording.phase_words(step), wording.exact_seconds(seconds))
            for step, seconds in state.seconds.items()
        ],
        total_s=wording.exact_seconds(sum(state.seconds.values())) if state.seconds else "",
        settings=wording.pairs(state.settings),
        statistics=wording.pairs(statistics),
        download=_kept(folder, state.checkpoint),
    )


def _network(folder: ProjectFolder, state: Tuning) -> NetworkRow:
    return NetworkRow(
        number=state.number,
        phase=wording.phase_words(state.phase),
        labels=state.n_labeled,
        started=wording.moment(state.started_at),
        total_s=wording.exact_seconds(sum(state.seconds.values())) if state.seconds else "",
        statistics=wording.pairs(state.statistics),
        download=_kept(folder, state.checkpoint),
    )


def _kept(folder: ProjectFolder, checkpoint: str | None) -> str:
    """The name of a checkpoint's file, "" where there is none any more."""
    if checkpoint is None or not (folder.checkpoints / checkpoint).is_file():
        return ""
    return checkpoint


def _unreadable(settings: Settings, state: ProjectState, task: LeftOut) -> UnreadableRow:
    url = task_url(settings, state, task.task_id)
    return UnreadableRow(task.task_id, url, shown_uri(task.uri), task.reason)
