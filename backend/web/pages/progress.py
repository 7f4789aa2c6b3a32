"""What is done for a project at the moment, as the pages and their polling show it."""

from __future__ import annotations

from backend.web.pages.batch import SHOWN_TASKS, start_within, state_of
from backend.web.pages.contexts import Progress, ProjectProgress
from backend.web.pages.wording import duration, moment, phase_words
from backend.web.status import remaining_s
from model_store import phases
from model_store.journal import Journal, ProjectState, RoundState

BACKTEST = {phases.REQUESTED: "About to begin", phases.RUNNING: "Running"}


def progress_of(journal: Journal, state: ProjectState, round_number: int | None) -> Progress:
    """How far everything is. round_number: of the round that the queue follows."""
    now = journal.now()
    is_resting = state.phase in phases.RESTING
    return Progress(
        phase="Paused" if state.is_paused and is_resting else phase_words(state.phase),
        percent=None if is_resting else percent_done(state.phase_done, state.phase_total),
        time_left=duration(remaining_s(state, now)),
        behind=phase_words(state.background) if state.background else "",
        behind_percent=percent_done(state.background_done, state.background_total),
        behind_time_left=duration(_behind_s(state, now)),
        labeled=state.labeled,
        total=state.labeled + state.skipped + state.pool,
        round_number=round_number,
        error=state.last_error or state.background_error or "",
        is_busy=not is_resting or bool(state.background),
        is_paused=state.is_paused,
    )


def project_progress(
    journal: Journal, state: ProjectState, published: RoundState | None, start: int
) -> ProjectProgress:
    """How far one project is. published: the round that the queue follows.

    start: place of the batch from which on it is shown.
    """
    number, total, done, served = None, 0, 0, []
    if published is not None:
        number, queue = published.number, journal.queue_progress(published)
        total, done = queue.batch, queue.batch_done
        start = start_within(start, total)
        served = journal.overview.batch(state.key, number, start, SHOWN_TASKS)
    return ProjectProgress(
        **vars(progress_of(journal, state, number)),
        batch_done=done,
        batch_total=total,
        tasks={task.task_id: state_of(task) for task in served},
        backtest=BACKTEST.get(state.backtest, ""),
        backtest_percent=percent_done(state.backtest_done, state.backtest_total),
        backtest_error=state.backtest_error or "",
        backtest_ended=moment(state.backtest_at),
    )


def published_number(journal: Journal, key: str) -> int | None:
    """The number of the round that the queue follows."""
    found = journal.published_round(key)
    return None if found is None else found.number


def percent_done(done: int, total: int) -> int | None:
    """How much of something is done; None where nobody knows how much there is."""
    return min(100, 100 * done // total) if total > 0 else None


def _behind_s(state: ProjectState, now: float) -> float | None:
    done, total = state.background_done, state.background_total
    if not state.background or not 0 < done <= total:
        return None
    return max(0.0, now - state.background_started_at) / done * (total - done)
