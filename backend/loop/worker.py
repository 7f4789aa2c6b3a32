"""The worker: two threads that call the model's `fit` hook for every project that needs it.

One keeps the queues: it reads what changed, supplies, runs rounds; no piece of that takes long. The
other computes behind them: it embeds pools and fine-tunes networks, however long that takes. A
third thread keeps house. Where several workers share the projects, a fourth holds this one's share.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from backend.acquisition import Rule
from backend.errors import AlfaMixError, JournalError, LeaseLostError, StoreError
from backend.label_studio.access import Access
from backend.loop import backtests
from backend.loop.background import Background, Stopped
from backend.loop.context import ProjectContext, WorkerContext
from backend.loop.holdings import All, Holdings, Share
from backend.loop.housekeeping import Housekeeping
from backend.loop.loops import TICK_S, Loop
from backend.loop.reconcile import reconcile
from backend.process.niceness import thread_gives_way
from backend.process.startup import (
    folder_of,
    machine_folder,
    machine_name,
    open_journal,
    open_session,
)
from backend.process.supervisor import SERVE
from backend.process.troubles import Troubles
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from model_store.journal import Journal, ProjectState

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
LOOK_EVERY_S = 60.0
TEND_EVERY_S = 1.0
# A lease that was not renewed in time is lost to others, so the database is asked again soon.
LEASE_RETRY_S = 2.0
# Of the thread that computes, on top of the process's own: the queue's requests come first.
BACKGROUND_NICENESS = 9
# The events that the worker itself calls `fit` with.
RECONCILE = "RECONCILE"
TUNE = "TUNE"


class WorkerServices:
    """What the worker lets the model do."""

    def __init__(self, journal: Journal, holdings: Holdings, background: Background) -> None:
        self._journal = journal
        self._holdings = holdings
        self._background = background

    def version(self, project: str) -> str:
        """The version that a project's queue follows."""
        return self._journal.model_version(project)

    def fit(self, project: str, event: str) -> dict[str, Any]:
        """Do one piece of a project's work: of its queue, or for TUNE of what is behind it.

        LeaseLostError: it is another worker's project.
        """
        context = self._holdings.context(project)
        if event == TUNE:
            more = self._advance_background(context, project)
        else:
            more = reconcile(context, project)
        return {"model_version": self.version(project), "more": more}

    def _advance_background(self, context: WorkerContext, project: str) -> bool:
        state = context.journal.project(project)
        if state is None or not state.connected:
            return False
        more = self._background.advance(ProjectContext.of(context, state))
        after = context.journal.project(project)
        if after is None or not after.connected:
            context.journal.set_background(project, "")
            return False
        return more


@dataclass
class Retries:
    """When a project whose last attempt failed may be tried again.

    The wait doubles with every failure and ends early when something happens in the project:
    somebody may have put right what was wrong. news: what tells that.
    """

    news: Callable[[ProjectState], object] = lambda state: state.changed
    failures: dict[str, tuple[float, float, object]] = field(default_factory=dict)

    def may_try(self, state: ProjectState, now: float) -> bool:
        """Whether the project has not failed, waited long enough, or changed since."""
        seen = self.news(state)
        _wait_s, not_before, seen_then = self.failures.get(state.key, (0.0, now, seen))
        return now >= not_before or seen != seen_then

    def failed(self, state: ProjectState, now: float) -> float:
        """Note a failure; the seconds to wait."""
        last_wait_s = self.failures.get(state.key, (FIRST_RETRY_S / 2, 0.0, 0))[0]
        wait_s = min(2 * last_wait_s, LAST_RETRY_S)
        self.failures[state.key] = (wait_s, now + wait_s, self.news(state))
        return wait_s

    def succeeded(self, state: ProjectState) -> None:
        """Forget the project's failures."""
        self.forget(state.key)

    def forget(self, key: str) -> None:
        """Forget the failures of the project with this key."""
        self.failures.pop(key, None)


class Worker:
    """Keeps every connected project as it should be until it is told to stop.

    stopping: set by whoever ends it, also by a signal handler: a plain flag takes no lock.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.stopping = False
        self._error: Exception | None = None
        self._settled: Callable[[], None] | None = None
        self._troubles = Troubles(machine_folder(context.settings))
        self._housekeeping = Housekeeping(context.journal, folder_of(context.settings))
        self._holdings = self._open_holdings()
        background = Background(lambda: self.stopping, self._embed_for_newcomers)
        services = WorkerServices(context.journal, self._holdings, background)
        self._model_class = AlfaMixModel.bound_to(services)
        self._queue_retries = Retries()
        # Labels put nothing right that keeps a network from being trained.
        self._background_retries = Retries(lambda state: (state.label_config, state.unembedded))
        # Projects whose queue has more to do at once, or something new to look at.
        self._awake = {state.key for state in context.journal.projects()}
        # What a project was like when there was nothing to compute for it, and when that was.
        self._looked: dict[str, tuple[object, float]] = {}

    def run(self, settled: Callable[[], None] = lambda: None) -> None:
        """Work until `stopping` is set.

        settled: called when all projects were gone through once. JournalDamagedError: the journal
        is damaged; whatever else ends a thread is raised as well.
        """
        self._settled = settled
        others = [
            self._loop("background", self._compute),
            self._loop("housekeeping", self._housekeeping.tend, TEND_EVERY_S),
            self._loop("backtests", self._backtest, TEND_EVERY_S),
        ]
        threads = [threading.Thread(target=_behind, args=(loop,), daemon=True) for loop in others]
        if not self._context.journal.is_embedded:
            threads.append(threading.Thread(target=self._hold_share, daemon=True))
        for thread in threads:
            thread.start()
        self._loop("queues", self._keep_queues).run()
        if self._error is not None:
            raise self._error
        for thread in threads:
            thread.join()

    def work_on(self, state: ProjectState) -> bool:
        """Do one piece of a project's queue; whether there is more. Errors end in the journal."""
        self._awake.discard(state.key)
        more = self._fit(state, RECONCILE, self._queue_retries, Journal.set_error)
        if more:
            self._awake.add(state.key)
        return bool(more)

    def compute_for(self, state: ProjectState) -> bool:
        """Do one piece of what is computed behind a project's queue; whether there is more."""
        look = self._look(state)
        more = self._fit(state, TUNE, self._background_retries, Journal.set_background_error)
        after = self._context.journal.project(state.key)
        is_same = after is not None and self._look(after) == look
        if more or not is_same:
            self._awake.add(state.key)
        # None: tasks came that nobody looked at, perhaps while this piece was being done.
        if more is False and is_same and state.unembedded is not None:
            self._looked[state.key] = (look, time.monotonic())
        else:
            self._looked.pop(state.key, None)
        return bool(more)

    def _embed_for_newcomers(self, busy_key: str) -> None:
        """Do a piece for each project that has no queue yet, while another one's network trains."""
        journal = self._context.journal
        for state in self._each(self._needs_computing):
            if state.key != busy_key and journal.published_round(state.key) is None:
                self.compute_for(state)

    def _open_holdings(self) -> Holdings:
        journal = self._context.journal
        if journal.is_embedded:
            return All(self._context)
        # Of a worker that was started again, the one before may still be about.
        holder = f"{machine_name(self._context.settings)}-{uuid.uuid4().hex}"
        return Share(self._context, journal.leases(holder), self._begin_with)

    def _begin_with(self, key: str) -> None:
        """Look at a project that another worker had until now as if for the first time."""
        self._looked.pop(key, None)
        for retries in (self._queue_retries, self._background_retries):
            retries.forget(key)
        self._awake.add(key)

    def _hold_share(self) -> None:
        """Hold a share of the projects until the end, and let others have it then.

        That ends the pieces that are being done as well: whoever takes them over goes on.
        """
        self._loop("leases", self._holdings.tend, TEND_EVERY_S, LEASE_RETRY_S).run()
        try:
            self._holdings.close()
        except StoreError as error:
            logger.warning("the leases were not given back, and run out: %s", error)

    def _loop(
        self,
        name: str,
        work: Callable[[], bool],
        rest_s: float = TICK_S,
        last_wait_s: float | None = None,
    ) -> Loop:
        return Loop(
            name,
            work,
            is_over=lambda: self.stopping,
            fail=self._fail,
            troubles=self._troubles,
            rest_s=rest_s,
            last_wait_s=last_wait_s,
        )

    def _fail(self, error: Exception) -> None:
        """End the worker for an error that ended one of its threads; the first one counts."""
        self._error = self._error or error
        self.stopping = True

    def _keep_queues(self) -> bool:
        worked = [self.work_on(state) for state in self._each(self._needs_work)]
        if self._settled is not None:
            self._troubles.clear(SERVE)
            self._settled()
            self._settled = None
        return any(worked)

    def _compute(self) -> bool:
        worked = [self.compute_for(state) for state in self._each(self._needs_computing)]
        return any(worked)

    def _backtest(self) -> bool:
        asked = self._each(lambda state: bool(state.backtest))
        for state in asked:
            backtests.run(self._holdings.context(state.key), state, lambda: self.stopping)
        return bool(asked)

    def _each(self, needs: Callable[[ProjectState], bool]) -> list[ProjectState]:
        if self.stopping:
            return []
        states = self._context.journal.projects()
        return [state for state in states if self._holdings.holds(state.key) and needs(state)]

    def _needs_work(self, state: ProjectState) -> bool:
        if not self._queue_retries.may_try(state, time.monotonic()):
            return False
        if state.changed != state.seen or (state.connected and state.key in self._awake):
            return True
        waited_s = self._context.journal.now() - state.checked_at
        return state.connected and not 0 <= waited_s < self._context.settings.poll_s

    def _needs_computing(self, state: ProjectState) -> bool:
        if not state.connected or not self._background_retries.may_try(state, time.monotonic()):
            return False
        look, looked_at = self._looked.get(state.key, (None, 0.0))
        return look != self._look(state) or time.monotonic() - looked_at > LOOK_EVERY_S

    def _look(self, state: ProjectState) -> object:
        """What changes where there may be something new to compute."""
        published = self._context.journal.published_round(state.key)
        number = None if published is None else published.number
        return (state.unembedded, state.label_config, number, state.is_paused)

    def _fit(
        self,
        state: ProjectState,
        event: str,
        retries: Retries,
        note_error: Callable[[Journal, str, str | None], None],
    ) -> bool | None:
        """Call the hook; whether there is more, None where it failed.

        One project's surprise must not stop the others; what the journal refuses stops all.
        """
        try:
            with self._holdings.at_work(state.key):
                message, more = self._tried(state, event)
                journal = self._holdings.context(state.key).journal
                if message is None:
                    retries.succeeded(state)
                else:
                    wait_s = retries.failed(state, time.monotonic())
                    words = "project %d: %s; trying again in %.0f s"
                    logger.warning(words, state.project_id, message, wait_s)
                note_error(journal, state.key, message)
        except Stopped:
            return False
        except LeaseLostError as error:
            logger.info("%s: what was being done for it is dropped", error)
            return False
        except JournalError:
            self._awake.add(state.key)
            raise
        return more

    def _tried(self, state: ProjectState, event: str) -> tuple[str | None, bool | None]:
        """What went wrong within the hook, if anything, and whether there is more."""
        try:
            done = self._model_class(project_id=state.key).fit(event, {})
        except (Stopped, LeaseLostError, JournalError):
            raise
        except AlfaMixError as error:
            return str(error), None
        except Exception as error:
            logger.exception("project %d: unexpected error", state.project_id)
            return f"unexpected {type(error).__name__}: {error}", None
        return None, bool(done["more"])


def _behind(loop: Loop) -> None:
    thread_gives_way(BACKGROUND_NICENESS)
    loop.run()


def open_worker(settings: Settings) -> Worker:
    """A worker with its network loaded. WeightsError, SettingsError, StoreError."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    Rule.of(settings)
    journal = open_journal(settings)
    access = Access(
        settings.label_studio_url,
        settings.label_studio_api_key,
        image_hosts=settings.image_hosts,
    )
    return Worker(WorkerContext(settings, journal, open_session(settings), access))
