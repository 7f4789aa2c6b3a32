"""Keeps one project as it should be: connected, its rounds advanced, its queue supplied.

Level-triggered, like a controller: what Label Studio says is compared with what should be. It may
be called at any time, any number of times. Nothing here takes long: what does is computed in
`background`.
"""

from __future__ import annotations

import logging
import time

from backend.errors import (
    LabelConfigError,
    LabelStudioError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
    SettingsError,
)
from backend.loop import connecting, steps, supply, sync
from backend.loop.context import ProjectContext, WorkerContext
from backend.loop.due import round_due
from backend.loop.opening import open_round
from backend.loop.standing import Standing, standing_of
from model_store import phases
from model_store.journal import ProjectState, RoundState

logger = logging.getLogger(__name__)

# A look at the connection is put off no longer.
LATEST_CHECK_S = 30.0
LONG_PASS_S = 3.0
FOR_ALL_REQUESTS = (LabelStudioUnreachableError, LabelStudioUnauthorizedError)


def reconcile(worker: WorkerContext, key: str) -> bool:
    """Bring one project closer to where it should be; whether there is more to do at once."""
    journal = worker.journal
    state = journal.project(key)
    if state is None:
        return False
    is_check, more, trouble = connecting.is_check_due(worker, state), None, None
    if is_check and _is_routine(worker, state):
        # Who labels does not wait for the requests that a look at the connection takes.
        started = time.monotonic()
        more = _advance_if_possible(worker, state)
        pass_s = time.monotonic() - started
        is_check = more is None or not _is_put_off(worker, state, pass_s, more=more)
    try:
        if is_check and not connecting.check(worker, state):
            return False
    except LabelStudioError as error:
        # What is connected goes on: tasks and predictions may work where a webhook does not.
        if not state.connected or isinstance(error, FOR_ALL_REQUESTS):
            raise
        trouble = str(error)
    before, state = state, journal.project(key)
    if state is None or not state.connected:
        journal.update_project(key, seen=0 if state is None else state.changed)
        return False
    context = ProjectContext.of(worker, state)
    if more is None or state.label_config != before.label_config:
        more = _advance(context, state)
    if is_check and trouble is None:
        connecting.repair_queue(context)
    journal.set_error(key, trouble)
    journal.update_project(key, seen=before.changed)
    return more


def _is_routine(worker: WorkerContext, state: ProjectState) -> bool:
    """Whether a look at the connection is due for its time alone.

    Not where there is news of it, after an error, or where the last one is long ago: whatever has
    the project's number now may be another one.
    """
    since_s = worker.journal.now() - state.checked_at
    latest_s = worker.settings.poll_s + 2 * LATEST_CHECK_S
    return state.connected and state.last_error is None and 0 <= since_s < latest_s


def _is_put_off(worker: WorkerContext, before: ProjectState, pass_s: float, *, more: bool) -> bool:
    """Whether a look at the connection waits: the queue may run dry within a pass or two.

    pass_s: how long the last one took. more: whether it left something to do.
    """
    journal, key, put_off = worker.journal, before.key, worker.checks_put_off
    published, state, now = journal.published_round(key), journal.project(key), time.monotonic()
    waits_since = put_off.setdefault(key, now)
    if published is not None and state is not None and now - waits_since < LATEST_CHECK_S:
        # What was read when a long pass began is little of what was labeled since.
        is_unread = pass_s > LONG_PASS_S and state.changed != before.changed
        waiting = journal.queue_progress(published).waiting
        if is_unread or (more and not supply.lasts(journal, key, waiting, pass_s)):
            return True
    del put_off[key]
    return False


def _advance_if_possible(worker: WorkerContext, state: ProjectState) -> bool | None:
    """The same as `_advance`; None where a look at the connection has to come first."""
    try:
        return _advance(ProjectContext.of(worker, state), state)
    except (LabelConfigError, LabelStudioError, SettingsError) as error:
        # It may be just what the look puts right; what stays wrong is told after it.
        logger.info("project %d: looked after first: %s", state.project_id, error)
        return None


def _advance(context: ProjectContext, state: ProjectState) -> bool:
    """Read what changed, keep the queue supplied, run the round that is due, then read on."""
    sync.read_changes(context)
    more = False
    latest = context.journal.latest_round(context.key)
    if latest is not None and latest.phase != phases.DONE:
        steps.run(context, latest)
    published = context.journal.published_round(context.key)
    standing = standing_of(context, published)
    reason = None if state.is_paused else round_due(standing, published)
    # What lasts until the flip is not topped up before it: the round comes first.
    is_round_first = reason is not None and supply.lasts_a_round(context, standing.waiting)
    if published is not None and standing.is_ranked and not is_round_first:
        more |= supply.top_up(context, published)
    if reason is not None:
        logger.info("project %d: new round: %s", context.project_id, reason)
        published = steps.run(context, open_round(context, state, standing, reason))
        more |= supply.top_up(context, published)
        # Asked for its backends, Label Studio asks us for the version, and sorts by its scores.
        context.client.ml_backends(context.project_id)
    more |= sync.read_pages(context)
    _note_phase(context, standing, published)
    return more or reason is not None


def _note_phase(context: ProjectContext, standing: Standing, published: RoundState | None) -> None:
    """Note what the queue is at, where it is at something else than before."""
    journal, key = context.journal, context.key
    phase, done, total = _phase(context, standing, published)
    state = journal.project(key)
    if state is not None and (state.phase, state.phase_done, state.phase_total) != (
        *(phase, done, total),
    ):
        journal.set_phase(key, phase, done, total)


def _phase(
    context: ProjectContext, standing: Standing, published: RoundState | None
) -> tuple[str, int, int]:
    if published is None:
        is_read = context.journal.tasks.reading(context.key).is_whole
        phase = phases.EMBED if is_read else phases.SYNC
        return phase, standing.embedded, standing.labeled + standing.pool
    progress = context.journal.queue_progress(published)
    if published.n_pool == 0 and progress.waiting == 0:
        return phases.POOL_EMPTY, 0, 0
    return phases.ANNOTATE, progress.batch_done, progress.batch
