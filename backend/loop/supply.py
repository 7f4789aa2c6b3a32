"""Keeps tasks of the current version ahead of everybody, for as long as a round or a person takes.

Label Studio turns people away where all tasks of the version are held by others, and serves random
ones where none is left. Which are held no API tells, but for those of which somebody keeps a draft.
So more lie ahead than anybody can hold: at least a batch, at least what all people together label
until the next flip, or a team would that begins to label now, and one for each who may have walked
off with one.
"""

from __future__ import annotations

import math
import time

from backend.loop import asked, publishing, queue_order
from backend.loop.context import ProjectContext
from model_store.journal import Journal, RoundState

# Of the time until the next flip, which may take longer than the last ones did.
MARGIN = 2.0
# Of these the fastest counts: people who just began are as fast as they will be.
PACE_WINDOWS_S = (10.0, 30.0, 120.0)
# The first rounds are over in a moment, and say little of those with many labels.
SHORTEST_ROUND_S = 10.0
# One after the other, where Label Studio takes long for each: what was measured may be from before.
REQUESTS_A_ROUND = 10
# Of a team that begins at once, before its pace is known: a label a second for each of three.
LEAST_PER_S = 3.0
# People who never labeled here and may come at once; of those who did, twice as many as they are.
NEWCOMERS = 64
# So many serve whoever asks while the others are published.
FIRST_TASKS = 8
# Between two chunks topping up lets go for other work after this long.
PUBLISH_FOR_S = 1.0
# Nobody puts off many tasks in so short a time.
DRAFTS_EVERY_S = 5.0
# While the queue lacks tasks, these come first.
SELDOM_DRAFTS_S = 30.0


def wanted_ahead(context: ProjectContext, state: RoundState) -> int:
    """How many tasks should wait in the queue of a round."""
    batch = context.settings.labels_a_round(len(state.classes))
    until_flip = labels_per_s(context.journal, context.key) * MARGIN * _round_s(context)
    team = LEAST_PER_S * SHORTEST_ROUND_S
    return math.ceil(max(batch, team, until_flip)) + holders(context)


def lasts_a_round(context: ProjectContext, waiting: int) -> bool:
    """Whether so many waiting tasks are enough until a round that begins now flips the queue."""
    last_s = max(context.journal.recent_round_s(context.key), default=SHORTEST_ROUND_S)
    round_s = max(last_s, REQUESTS_A_ROUND * context.client.request_s)
    return lasts(context.journal, context.key, waiting, round_s)


def lasts(journal: Journal, key: str, waiting: int, seconds: float) -> bool:
    """Whether so many waiting tasks are enough for what takes about so many seconds."""
    return waiting >= FIRST_TASKS + labels_per_s(journal, key) * MARGIN * seconds


def labels_per_s(journal: Journal, key: str) -> float:
    """What all people together label in a second, measured over the last minutes of work."""
    newest = journal.tasks.newest_annotation(key)
    if newest is None:
        return 0.0
    paces = [(journal.tasks.pace(key, newest - window_s), window_s) for window_s in PACE_WINDOWS_S]
    # An import of annotated tasks is no pace: nobody labels faster than one in a second.
    return max(min(pace.labels / window_s, pace.annotators) for pace, window_s in paces)


def holders(context: ProjectContext) -> int:
    """How many people may each hold a task: everybody in a small organization."""
    project = context.journal.project(context.key)
    users = 1 if project is None else project.users
    seen = context.journal.tasks.pace(context.key, since=0.0).annotators
    return min(users, NEWCOMERS + 2 * seen)


def publish_first(context: ProjectContext, state: RoundState) -> bool:
    """Publish some of the head of a round's ranking; whether there is more of it.

    In the end it is one for each who labels now, and a few more. Until then people go on with the
    queue before, which is kept from running dry.
    """
    people, held = _people(context), _held(context)
    before = context.journal.published_round(context.key)
    deadline = time.monotonic() + PUBLISH_FOR_S
    more = _fill(context, state, FIRST_TASKS + 2 * people + held, deadline)
    if before is not None and queue_order.is_ranked(context, before):
        _fill(context, before, 1 + 2 * people + held, deadline)
    return more


def serves_whoever_asks(context: ProjectContext, state: RoundState) -> bool:
    """Whether what is left of a round's queue lasts until more of it is published, if there is any.

    What was published first may have been labeled meanwhile, by the queue before.
    """
    left = context.journal.tasks.counts(context.key).pool
    least = min(FIRST_TASKS + _people(context), left)
    return context.journal.queue_progress(state).waiting >= least


def top_up(context: ProjectContext, state: RoundState) -> bool:
    """Publish what the queue lacks, for a few seconds; whether it still lacks some."""
    deadline = time.monotonic() + PUBLISH_FOR_S
    more = asked.bring_forward(context, state)
    more |= _fill(context, state, wanted_ahead(context, state), deadline)
    return _note_put_off(context, state, SELDOM_DRAFTS_S if more else DRAFTS_EVERY_S) or more


def _fill(
    context: ProjectContext,
    state: RoundState,
    wanted: int,
    deadline: float,
) -> bool:
    """Publish until so many tasks wait or the time is over; whether more are wanted."""
    publishing.finish_interrupted(context, state)
    progress = context.journal.queue_progress(state)
    while (lacking := wanted - progress.waiting) > 0:
        following = queue_order.following(context, state, progress.queued)
        if not publishing.extend(context, state, following, lacking, deadline):
            return False
        progress = context.journal.queue_progress(state)
        if time.monotonic() > deadline:
            return progress.waiting < wanted
    return False


def _note_put_off(context: ProjectContext, state: RoundState, every_s: float) -> bool:
    """Look now and then at the drafts: a task of which somebody keeps one is for nobody else.

    Whether there are new ones, for which the queue lacks others.
    """
    project = context.journal.project(context.key)
    if project is None or 0 <= context.journal.now() - project.drafts_read_at < every_s:
        return False
    before = context.journal.queue_progress(state).waiting
    waiting = [task.task_id for task in context.journal.waiting_tasks(state)]
    drafted = context.client.drafted_task_ids(context.project_id, waiting)
    context.journal.note_put_off(state, drafted)
    return context.journal.queue_progress(state).waiting < before


def _people(context: ProjectContext) -> int:
    """How many label now."""
    newest = context.journal.tasks.newest_annotation(context.key) or 0.0
    return context.journal.tasks.pace(context.key, newest - PACE_WINDOWS_S[-1]).annotators


def _held(context: ProjectContext) -> int:
    """How many tasks of the queue were passed by: somebody may hold each, and it may rank first."""
    published = context.journal.published_round(context.key)
    if published is None:
        return 0
    waiting = {task.rank for task in context.journal.waiting_tasks(published)}
    done = [task.rank for task in context.journal.queue(published) if task.rank not in waiting]
    return sum(rank < max(done, default=0) for rank in waiting)


def _round_s(context: ProjectContext) -> float:
    """How long the last rounds worked, from their opening to the flip, or the next one may."""
    requests_s = REQUESTS_A_ROUND * context.client.request_s
    return max([SHORTEST_ROUND_S, requests_s, *context.journal.recent_round_s(context.key)])
