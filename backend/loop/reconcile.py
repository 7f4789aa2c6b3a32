"""Keeps one project as it should be: connected, its rounds advanced, its queue on the last batch.

Level-triggered, like a controller: what Label Studio's API says is compared with what should be.
It may be called at any time, any number of times.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import numpy as np

from backend.acquisition import strategy_names
from backend.errors import ImageError, SettingsError
from backend.label_studio import connection, queue
from backend.label_studio.access import Access
from backend.label_studio.annotations import TaskState, read_task
from backend.label_studio.client import UNCERTAINTY_SAMPLING, LabelStudioClient, Project
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import parse_label_config
from backend.loop.due import (
    POOL_CHANGED,
    POOL_EMPTY,
    BatchProgress,
    batch_progress,
    due_reason,
    reopened_reason,
)
from backend.loop.round_context import Workbench
from backend.loop.snapshot import Snapshot, save_snapshot, take_snapshot
from backend.loop.steps import run
from backend.settings import Settings
from backend.vision import VisionSession
from model_store.journal import Journal, ProjectState, RoundState, UnreadableTask
from model_store.project_folder import ProjectFolder, host_folder

logger = logging.getLogger(__name__)

ANNOTATE = "annotate"
DISCONNECTED = "disconnected"
RETRY_UNREADABLE_S = 600.0
RETRIED_IMAGES = 20
NOTED_SETTINGS = (
    *("backbone", "image_px", "feature_blocks", "finetune", "head_lr", "block_lr", "epochs"),
    *("budget", "epsilon", "seed"),
)
VERSION = re.compile(r"alfa-mix r(\d+) · \d+ labels")


@dataclass(frozen=True)
class Office:
    """What all projects of the worker share."""

    settings: Settings
    journal: Journal
    session: VisionSession
    access: Access


def check_strategy(settings: Settings) -> None:
    """SettingsError: the strategy is not in the registry."""
    if settings.strategy not in strategy_names():
        raise SettingsError(
            f"ALFAMIX_STRATEGY is {settings.strategy!r}; needed is one of "
            f"{', '.join(strategy_names())}"
        )


def reconcile(office: Office, key: str) -> None:
    """Bring one project to where it should be; returns when there is nothing left to do now."""
    journal = office.journal
    state = journal.project(key)
    if state is None:
        return
    client = office.access.client(state.access_token)
    project = client.project(state.project_id)
    if project is None or project.key != key:
        journal.update_project(key, connected=False, phase=DISCONNECTED, seen=state.changed)
        return
    if not _keep_connected(office, client, project, state):
        return
    _note_project(journal, project)
    fetcher = office.access.fetcher(state.access_token, state.hostname)
    bench = _bench(office, client, fetcher, project)
    _advance(bench)
    _repair_version(bench)
    journal.set_error(key, None)
    journal.update_project(key, seen=state.changed, checked_at=journal.now())


def _keep_connected(
    office: Office, client: LabelStudioClient, project: Project, state: ProjectState
) -> bool:
    journal = office.journal
    row = connection.own_backend(
        client.ml_backends(project.id),
        state.backend_url,
        was_connected=state.webhook_id is not None,
    )
    if row is None:
        connection.release(client, project, state.previous_sampling, state.webhook_id)
        journal.update_project(
            project.key,
            connected=False,
            phase=DISCONNECTED,
            seen=state.changed,
            webhook_id=None,
            previous_sampling=None,
        )
        logger.info("project %d: no longer connected, given back as it was", project.id)
        return False
    if project.sampling != UNCERTAINTY_SAMPLING:
        # Noted before it is changed, so that a kill in between does not lose it.
        journal.update_project(project.key, previous_sampling=project.sampling)
    kept = connection.repair(client, project, row, office.settings, state.webhook_id)
    if kept.changed:
        logger.info("project %d: put right: %s", project.id, ", ".join(kept.changed))
    journal.update_project(project.key, webhook_id=kept.webhook_id, connected=True)
    return True


def _note_project(journal: Journal, project: Project) -> None:
    journal.update_project(
        project.key,
        title=project.title,
        label_config=project.label_config,
        labeled=project.labeled_count,
        skipped=project.skipped_count,
        pool=max(0, project.task_count - project.labeled_count),
    )


def _bench(
    office: Office, client: LabelStudioClient, fetcher: ImageFetcher, project: Project
) -> Workbench:
    settings = office.settings
    folder = host_folder(settings.model_dir, settings.label_studio_url) / project.key
    return Workbench(
        settings=settings,
        journal=office.journal,
        client=client,
        fetcher=fetcher,
        session=office.session,
        folder=ProjectFolder(folder),
        project=project,
        config=parse_label_config(project.label_config),
    )


def _advance(bench: Workbench) -> None:
    key = bench.project.key
    state = bench.journal.latest_round(key)
    if state is not None and state.phase != "done":
        _finish(bench, state)
    while (reason := _due(bench)) is not None:
        logger.info("project %d: new round: %s", bench.project.id, reason)
        started = _start(bench, reason)
        if started is None:
            return
        _finish(bench, started)


def _finish(bench: Workbench, state: RoundState) -> None:
    run(bench, state)
    bench.journal.update_project(bench.project.key, batch_progress_at=bench.journal.now())


def _due(bench: Workbench) -> str | None:
    journal, key = bench.journal, bench.project.key
    published = journal.published_round(key)
    if published is None:
        return "the first round"
    state = journal.project(key)
    assert state is not None
    tasks = journal.queue(published)
    if not tasks:
        return _due_again(bench, state)
    progress = _progress(bench, [task.task_id for task in tasks], published)
    _note_progress(bench, state, progress)
    state = journal.project(key)
    assert state is not None
    return due_reason(
        state,
        published,
        progress,
        bench.config.classes,
        now=journal.now(),
        idle_s=bench.settings.idle_minutes * 60,
    )


def _progress(bench: Workbench, task_ids: list[int], published: RoundState) -> BatchProgress:
    tasks = bench.client.selected_tasks(bench.project.id, task_ids)
    states = {int(task["id"]): read_task(task, bench.config) for task in tasks}
    return batch_progress(bench.journal.queue(published), states)


def _note_progress(bench: Workbench, state: ProjectState, progress: BatchProgress) -> None:
    journal, key = bench.journal, bench.project.key
    if state.phase != ANNOTATE or state.phase_done != progress.done:
        journal.update_project(key, batch_progress_at=journal.now())
    journal.set_phase(key, ANNOTATE, progress.done, progress.total)


def _due_again(bench: Workbench, state: ProjectState) -> str | None:
    """The pool was empty: a state of its own, left when tasks or images come (back)."""
    journal, key = bench.journal, bench.project.key
    if state.phase != POOL_EMPTY:
        journal.set_phase(key, POOL_EMPTY)
    unreadable = [task for task in journal.unreadable(key) if task.uri]
    retry_at = min((task.tried_at for task in unreadable), default=None)
    retry_at = None if retry_at is None else retry_at + RETRY_UNREADABLE_S
    now = journal.now()
    reason = reopened_reason(state, bench.project.counters, retry_unreadable_at=retry_at, now=now)
    is_retry = reason is not None and retry_at is not None and now >= retry_at
    if is_retry and not _any_readable(bench, unreadable):
        return None
    return reason


def _any_readable(bench: Workbench, tasks: list[UnreadableTask]) -> bool:
    for task in tasks[:RETRIED_IMAGES]:
        try:
            bench.fetcher.fetch(task.uri, task.task_id)
        except ImageError:
            continue
        return True
    journal = bench.journal
    now = journal.now()
    again = [
        UnreadableTask(task.task_id, task.uri, task.reason, now)
        for task in journal.unreadable(bench.project.key)
    ]
    journal.set_unreadable(bench.project.key, again)
    return False


def _start(bench: Workbench, reason: str) -> RoundState | None:
    """A new round over the tasks as they are now; None where new tasks turn out to be none."""
    journal, key = bench.journal, bench.project.key
    before = journal.project(key)
    assert before is not None
    journal.set_phase(key, "sync")
    tasks = [read_task(task, bench.config) for task in bench.client.tasks(bench.project.id)]
    _note_without_image(journal, key, tasks)
    snapshot = take_snapshot(tasks)
    if reason == POOL_CHANGED and not _has_new_tasks(journal, key, snapshot):
        journal.update_project(key, counters=bench.project.counters)
        journal.set_phase(key, POOL_EMPTY)
        return None
    number = _next_number(bench)
    labels = int(snapshot.labeled.sum())
    save_snapshot(bench.folder.tasks_file(number), snapshot)
    state = RoundState(
        key=key,
        number=number,
        phase="train",
        strategy=bench.settings.strategy,
        settings=_noted_settings(bench.settings),
        classes=list(bench.config.classes),
        n_labeled=labels,
        n_pool=int(snapshot.in_pool.sum()),
        model_version=f"alfa-mix r{number} · {labels} labels",
        checkpoint=None,
        features_version=None,
        statistics={"reason": reason},
        seconds={},
        started_at=journal.now(),
        finished_at=None,
    )
    journal.open_round(state, counters=bench.project.counters, looked_at=before.changed)
    return state


def _has_new_tasks(journal: Journal, key: str, snapshot: Snapshot) -> bool:
    known_unreadable = [task.task_id for task in journal.unreadable(key)]
    return bool((snapshot.in_pool & ~np.isin(snapshot.task_ids, known_unreadable)).any())


def _note_without_image(journal: Journal, key: str, tasks: list[TaskState]) -> None:
    now = journal.now()
    without = [
        UnreadableTask(task.task_id, "", task.problem or "", now)
        for task in tasks
        if task.uri is None
    ]
    with_image = [task for task in journal.unreadable(key) if task.uri]
    journal.set_unreadable(key, without + with_image)


def _next_number(bench: Workbench) -> int:
    # Predictions of an earlier journal may still carry version strings: theirs are not used again.
    latest = bench.journal.latest_round(bench.project.key)
    if latest is not None:
        return latest.number + 1
    versions = bench.client.prediction_versions(bench.project.id)
    matches = [VERSION.fullmatch(version) for version in versions]
    return max((int(match.group(1)) + 1 for match in matches if match), default=0)


def _noted_settings(settings: Settings) -> dict[str, str]:
    return {name: str(getattr(settings, name)) for name in NOTED_SETTINGS}


def _repair_version(bench: Workbench) -> None:
    published = bench.journal.published_round(bench.project.key)
    batch = [] if published is None else bench.journal.queue(published)
    if published is None or not batch:
        return
    task_ids = [task.task_id for task in batch if not task.is_reserve]
    version = published.model_version
    if not queue.published(bench.client, bench.project.id, version, task_ids):
        logger.info("project %d: somebody deleted the batch's predictions", bench.project.id)
        bench.journal.forget_predictions(published)
        run(bench, bench.journal.update_round(published, phase="publish"))
    project = bench.client.project(bench.project.id)
    if project is not None and queue.flip(bench.client, project, version):
        logger.info("project %d: model version put right", project.id)
