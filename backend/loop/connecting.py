"""Looks after what connects a project with this backend: its row, webhook, sampling and version."""

from __future__ import annotations

import logging

from backend.errors import LabelStudioError
from backend.label_studio import connection, queue
from backend.label_studio.client import UNCERTAINTY_SAMPLING, LabelStudioClient, Project
from backend.loop import supply
from backend.loop.context import ProjectContext, WorkerContext
from model_store import phases
from model_store.journal import ProjectState

logger = logging.getLogger(__name__)

# Of the tasks that wait, so many are looked at: whoever deletes predictions deletes them all.
LOOKED_AT = 200


def is_check_due(worker: WorkerContext, state: ProjectState) -> bool:
    """Whether it is time to look at the connection itself: at news of it, and now and then."""
    if not state.connected:
        return state.changed != state.seen
    since_s = worker.journal.now() - state.checked_at
    # A clock that was set back must not stop it.
    return not 0 <= since_s < worker.settings.poll_s


def check(worker: WorkerContext, state: ProjectState) -> bool:
    """Put the connection right, note what Label Studio says of the project; False: it is none."""
    journal, key = worker.journal, state.key
    client = worker.access.client(state.access_token)
    project = client.project(state.project_id)
    if project is None or project.key != key:
        values = {"connected": False, "phase": phases.DISCONNECTED, "background": ""}
        journal.update_project(key, **values, seen=state.changed)
        return False
    if not _keep_connected(worker, client, project, state):
        return False
    journal.update_project(
        key,
        title=project.title,
        label_config=project.label_config,
        labeled=project.labeled_count,
        skipped=project.skipped_count,
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
    waiting = [task.task_id for task in journal.waiting_tasks(published)][:LOOKED_AT]
    if not waiting:
        return
    version = published.model_version
    found = queue.published(context.client, context.project_id, version, waiting)
    lost = [task_id for task_id in waiting if task_id not in found]
    if lost:
        logger.info("project %d: predictions of the queue were deleted", context.project_id)
        journal.forget_predictions(published, lost)
        supply.top_up(context, published)
    project = context.client.project(context.project_id)
    if project is not None and queue.flip(context.client, project, version):
        logger.info("project %d: model version put right", context.project_id)


def _keep_connected(
    worker: WorkerContext, client: LabelStudioClient, project: Project, state: ProjectState
) -> bool:
    journal = worker.journal
    row = connection.own_backend(
        client.ml_backends(project.id),
        state.backend_url,
        was_connected=state.webhook_id is not None,
    )
    if row is None:
        connection.release(client, project, state.previous_sampling, state.webhook_id)
        if state.tab_id is not None:
            client.delete_tab(state.tab_id)
        journal.update_project(
            project.key,
            connected=False,
            phase=phases.DISCONNECTED,
            background="",
            seen=state.changed,
            webhook_id=None,
            previous_sampling=None,
            tab_id=None,
        )
        logger.info("project %d: no longer connected, given back as it was", project.id)
        return False
    if project.sampling != UNCERTAINTY_SAMPLING:
        # Noted before it is changed, so that a kill in between does not lose it.
        journal.update_project(project.key, previous_sampling=project.sampling)
    kept = connection.repair(client, project, row, worker.settings, state.webhook_id)
    if kept.changed:
        logger.info("project %d: put right: %s", project.id, ", ".join(kept.changed))
    journal.update_project(project.key, webhook_id=kept.webhook_id, connected=True)
    return True


def _users(client: LabelStudioClient, project: Project, state: ProjectState) -> int:
    """How many people may label; what was known before where the token may not ask."""
    if project.organization_id is None:
        return max(1, state.users)
    try:
        return client.user_count(project.organization_id)
    except LabelStudioError:
        return max(1, state.users)
