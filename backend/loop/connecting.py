"""Looks after what connects a project with this backend: its row, webhook, sampling and version."""

from __future__ import annotations

import logging

from backend.errors import LabelStudioError, LabelStudioUnreachableError
from backend.label_studio import connection, queue
from backend.label_studio.client import (
    UNCERTAINTY_SAMPLING,
    LabelStudioClient,
    MlBackend,
    Project,
)
from backend.label_studio.own_row import Marks, own_row
from backend.loop import publishing, supply
from backend.loop.context import ProjectContext, WorkerContext
from model_store import phases
from model_store.journal import ProjectState

logger = logging.getLogger(__name__)


def is_check_due(worker: WorkerContext, state: ProjectState) -> bool:
    """Whether it is time to look at the connection itself: at news of it, and now and then."""
    if not state.connected:
        return state.changed != state.seen
    since_s = worker.journal.now() - state.checked_at
    # A clock that was set back must not stop it.
    return not 0 <= since_s < worker.settings.poll_s


def check(worker: WorkerContext, state: ProjectState) -> bool:
    """Put the connection right, note what Label Studio says of the project; False: it is none.

    What a call of `/setup` said is believed from here on, or forgotten.
    """
    journal, key = worker.journal, state.key
    _judge_offer(worker, state)
    client = worker.access.client(state.access_token)
    project = client.project(state.project_id)
    if project is None or project.key != key:
        journal.set_phase(key, phases.DISCONNECTED)
        journal.update_project(key, connected=False, background="", seen=state.changed)
        journal.forget_unconfirmed(state)
        return False
    if not _keep_connected(worker, client, project, state):
        return False
    journal.update_project(
        key,
        title=project.title,
        label_config=project.label_config,
        labeled=project.labeled_count,
        skipped=project.skipped_count,
        annotations=project.annotation_count,
        pool=max(0, project.task_count - project.labeled_count),
        users=_users(client, project, state),
        checked_at=journal.now(),
    )
    return True


def repair_queue(context: ProjectContext) -> None:
    """Publish anew what somebody deleted, and set the version back that somebody changed."""
    journal = context.journal
    published = journal.published_round(context.key)
    if published is None:
        return
    if publishing.compare(context, published):
        supply.top_up(context, published)
    elif not journal.queue_progress(published).waiting:
        return
    project = context.client.project(context.project_id)
    if project is not None and queue.flip(context.client, project, published.model_version):
        logger.info("project %d: model version put right", context.project_id)


def _keep_connected(
    worker: WorkerContext, client: LabelStudioClient, project: Project, state: ProjectState
) -> bool:
    journal = worker.journal
    row = _own_row(worker, client, project, state)
    if row is None:
        if state.is_confirmed:
            _release(worker, client, project, state)
        journal.forget_unconfirmed(state)
        return False
    if project.sampling != UNCERTAINTY_SAMPLING:
        # Noted before it is changed, so that a kill in between does not lose it.
        journal.update_project(project.key, previous_sampling=project.sampling)
    kept = connection.repair(client, project, row, worker.settings, state.webhook_id)
    if kept.changed:
        logger.info("project %d: put right: %s", project.id, ", ".join(kept.changed))
    journal.update_project(
        project.key,
        webhook_id=kept.webhook_id,
        row_id=row.id,
        row_url=row.url,
        label_config=project.label_config,
        connected=True,
    )
    return True


def _own_row(
    worker: WorkerContext, client: LabelStudioClient, project: Project, state: ProjectState
) -> MlBackend | None:
    """The row of the Model page that leads here, None where none does.

    LabelStudioError: one does, but which one cannot be told.
    """
    journal = worker.journal
    rows = client.ml_backends(project.id)
    heard = journal.project(state.key)
    marks = Marks(
        row_id=state.row_id,
        row_url=state.row_url,
        instance=journal.instance(),
        public_url=worker.settings.public_url,
        seen_url=state.backend_url if heard is None else heard.backend_url,
        was_heard=heard is not None and heard.setups > state.setups,
    )
    return own_row(rows, marks)


def _release(
    worker: WorkerContext, client: LabelStudioClient, project: Project, state: ProjectState
) -> None:
    """Give a project back that no longer names this backend."""
    connection.release(client, project, state.previous_sampling, state.webhook_id)
    if state.tab_id is not None:
        client.delete_tab(state.tab_id)
    worker.journal.set_phase(project.key, phases.DISCONNECTED)
    worker.journal.update_project(
        project.key,
        connected=False,
        background="",
        seen=state.changed,
        webhook_id=None,
        previous_sampling=None,
        tab_id=None,
    )
    logger.info("project %d: no longer connected, given back as it was", project.id)


def _judge_offer(worker: WorkerContext, state: ProjectState) -> None:
    """Take what a call said with another token where that token opens the project, else drop it."""
    if not state.offered_token and not state.offered_hostname:
        return
    taken = {}
    if _opens(worker.settings.label_studio_url, state.offered_token, state):
        taken = {"access_token": state.offered_token, "hostname": state.offered_hostname}
    worker.journal.update_project(state.key, offered_token="", offered_hostname="", **taken)


def _opens(url: str, token: str, state: ProjectState) -> bool:
    """Whether a token may see the project. LabelStudioUnreachableError."""
    try:
        project = LabelStudioClient(url, token).project(state.project_id)
    except LabelStudioUnreachableError:
        raise
    except LabelStudioError:
        return False
    return project is not None and project.key == state.key


def _users(client: LabelStudioClient, project: Project, state: ProjectState) -> int:
    """How many people may label; what was known before where the token may not ask."""
    if project.organization_id is None:
        return max(1, state.users)
    try:
        return client.user_count(project.organization_id)
    except LabelStudioError:
        return max(1, state.users)
