"""The worker: two threads that call the model's `fit` hook for every project that needs it.

One keeps the queues: it reads what changed, supplies, runs rounds; no piece of that takes long. The
other computes behind them: it embeds pools and fine-tunes networks, however long that takes.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from backend.acquisition import Rule
from backend.errors import AlfaMixError
from backend.label_studio.access import Access
from backend.loop.background import Background, Stopped
from backend.loop.context import ProjectContext, WorkerContext
from backend.loop.reconcile import reconcile
from backend.process.startup import open_journal, open_session
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from model_store.journal import ProjectState

logger = logging.getLogger(__name__)

TICK_S = 0.25
FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
LOOK_EVERY_S = 60.0
# Of the thread that computes, on top of the process's own: the queue's requests come first.
BACKGROUND_NICENESS = 9
# The events that the worker itself calls `fit` with.
RECONCILE = "RECONCILE"
TUNE = "TUNE"


class WorkerServices:
    """What the worker lets the model do."""

    def __init__(self, context: WorkerContext, background: Background) -> None:
        self._context = context
        self._background = background

    def version(self, project: str) -> str:
        """The version that a project's queue follows."""
        return self._context.journal.model_version(project)

    def fit(self, project: str, event: str) -> dict[str, Any]:
        """Do one piece of a project's work: of its queue, or for TUNE of what is behind it."""
        if event == TUNE:
            more = self._advance_background(project)
        else:
            more = reconcile(self._context, project)
        return {"model_version": self.version(project), "more": more}

    def _advance_background(self, project: str) -> bool:
        state = self._context.journal.project(project)
        if state is None or not state.connected:
            return False
        more = self._background.advance(ProjectContext.of(self._context, state))
        after = self._context.journal.project(project)
        if after is None or not after.connected:
            self._context.journal.set_background(project, "")
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
        self.failures.pop(state.key, None)


class Worker:
    """Keeps every connected project as it should be until it is told to stop.

    stopping: set by whoever ends it, also by a signal handler: a plain flag takes no lock.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self.stopping = False
        background = Background(lambda: self.stopping, self._embed_for_newcomers)
        self._model_class = AlfaMixModel.bound_to(WorkerServices(context, background))
        self._queue_retries = Retries()
        # Labels put nothing right that keeps a network from being trained.
        self._background_retries = Retries(lambda state: (state.label_config, state.unembedded))
        # Projects whose queue has more to do at once, or something new to look at.
        self._awake = {state.key for state in context.journal.projects()}
        # What a project was like when there was nothing to compute for it, and when that was.
        self._looked: dict[str, tuple[object, float]] = {}

    def run(self) -> None:
        """Work until `stopping` is set."""
        computing = threading.Thread(target=self._compute, name="background", daemon=True)
        computing.start()
        while not self.stopping:
            worked = [self.work_on(state) for state in self._each(self._needs_work)]
            if not any(worked):
                time.sleep(TICK_S)
        computing.join()

    def work_on(self, state: ProjectState) -> bool:
        """Do one piece of a project's queue; whether there is more. Errors end in the journal."""
        self._awake.discard(state.key)
        more = self._fit(state, RECONCILE, self._queue_retries, self._context.journal.set_error)
        if more:
            self._awake.add(state.key)
        return bool(more)

    def compute_for(self, state: ProjectState) -> bool:
        """Do one piece of what is computed behind a project's queue; whether there is more."""
        look = self._look(state)
        note = self._context.journal.set_background_error
        more = self._fit(state, TUNE, self._background_retries, note)
        if more:
            self._awake.add(state.key)
        if more is False:
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

    def _compute(self) -> None:
        _be_nice(BACKGROUND_NICENESS)
        while not self.stopping:
            try:
                worked = [self.compute_for(state) for state in self._each(self._needs_computing)]
            except Exception:
                # The journal itself: locked for long, or its disk is full. It may be over soon.
                logger.exception("the thread that computes could not go on; trying again")
                worked = []
                time.sleep(FIRST_RETRY_S)
            if not any(worked):
                time.sleep(TICK_S)

    def _each(self, needs: Callable[[ProjectState], bool]) -> list[ProjectState]:
        if self.stopping:
            return []
        return [state for state in self._context.journal.projects() if needs(state)]

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
        return (state.unembedded, state.label_config, number)

    def _fit(
        self,
        state: ProjectState,
        event: str,
        retries: Retries,
        note_error: Callable[[str, str | None], None],
    ) -> bool | None:
        """Call the hook; whether there is more, None where it failed.

        One project's surprise must not stop the others.
        """
        try:
            done = self._model_class(project_id=state.key).fit(event, {})
        except Stopped:
            return False
        except AlfaMixError as error:
            message = str(error)
        except Exception as error:
            logger.exception("project %d: unexpected error", state.project_id)
            message = f"unexpected {type(error).__name__}: {error}"
        else:
            retries.succeeded(state)
            note_error(state.key, None)
            return bool(done["more"])
        wait_s = retries.failed(state, time.monotonic())
        logger.warning("project %d: %s; trying again in %.0f s", state.project_id, message, wait_s)
        note_error(state.key, message)
        return None


def open_worker(settings: Settings) -> Worker:
    """A worker with its network loaded. WeightsError, SettingsError, StoreError."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    Rule.of(settings)
    journal = open_journal(settings)
    access = Access(settings.label_studio_url, settings.label_studio_api_key)
    return Worker(WorkerContext(settings, journal, open_session(settings), access))


def _be_nice(niceness: int) -> None:
    """Let this thread, and those that it starts, give way to the others (Linux only)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(19, own + niceness))
