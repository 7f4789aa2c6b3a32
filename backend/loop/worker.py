"""The worker: calls the model's `fit` hook for every project that needs it, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from backend.errors import AlfaMixError
from backend.label_studio.access import Access
from backend.loop.reconcile import Office, check_strategy, reconcile
from backend.process.startup import open_journal, open_session
from backend.sdk.model import AlfaMixModel
from backend.settings import Settings
from model_store import versions
from model_store.journal import ProjectState

logger = logging.getLogger(__name__)

TICK_S = 0.25
FIRST_RETRY_S = 2.0
LAST_RETRY_S = 300.0
RECONCILE = "RECONCILE"


class WorkerServices:
    """What the worker lets the model do: everything."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def version(self, project: str) -> str:
        found = self._office.journal.published_round(project)
        return versions.UNNUMBERED if found is None else found.model_version

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        raise AlfaMixError("the worker answers no predictions; the web process does")

    def fit(self, project: str, event: str) -> dict[str, Any]:
        reconcile(self._office, project)
        return {"model_version": self.version(project)}


@dataclass
class Retries:
    """When a project whose last attempt failed may be tried again.

    The wait doubles with every failure and ends early when something happens in the project:
    somebody may have put right what was wrong.
    """

    failures: dict[str, tuple[float, float, int]] = field(default_factory=dict)

    def may_try(self, state: ProjectState, now: float) -> bool:
        """Whether the project has not failed, waited long enough, or changed since."""
        _wait_s, not_before, changed = self.failures.get(state.key, (0.0, now, state.changed))
        return now >= not_before or state.changed != changed

    def failed(self, state: ProjectState, now: float) -> float:
        """Note a failure; the seconds to wait."""
        last_wait_s = self.failures.get(state.key, (FIRST_RETRY_S / 2, 0.0, 0))[0]
        wait_s = min(2 * last_wait_s, LAST_RETRY_S)
        self.failures[state.key] = (wait_s, now + wait_s, state.changed)
        return wait_s

    def succeeded(self, state: ProjectState) -> None:
        """Forget the project's failures."""
        self.failures.pop(state.key, None)


class Worker:
    """Keeps every connected project as it should be until it is told to stop."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._model_class = AlfaMixModel.bound_to(WorkerServices(office))
        self._retries = Retries()
        self.stop = threading.Event()

    def run(self) -> None:
        """Work until `stop` is set."""
        while not self.stop.is_set():
            for state in self._office.journal.projects():
                if not self.stop.is_set() and self._needs_work(state):
                    self.work_on(state)
            self.stop.wait(TICK_S)

    def _needs_work(self, state: ProjectState) -> bool:
        if not self._retries.may_try(state, time.monotonic()):
            return False
        if state.changed != state.seen:
            return True
        waited_s = self._office.journal.now() - state.checked_at
        return state.connected and waited_s >= self._office.settings.poll_s

    def work_on(self, state: ProjectState) -> None:
        """Bring one project up to date; an error ends in the journal, never here."""
        try:
            self._model_class(project_id=state.key).fit(RECONCILE, {})
        except AlfaMixError as error:
            self._note_failure(state, str(error))
        except Exception as error:
            # One project's surprise must not stop the others.
            logger.exception("project %d: unexpected error", state.project_id)
            self._note_failure(state, f"unexpected {type(error).__name__}: {error}")
        else:
            self._retries.succeeded(state)

    def _note_failure(self, state: ProjectState, message: str) -> None:
        wait_s = self._retries.failed(state, time.monotonic())
        logger.warning("project %d: %s; trying again in %.0f s", state.project_id, message, wait_s)
        self._office.journal.set_error(state.key, message)


def open_worker(settings: Settings) -> Worker:
    """A worker with its network loaded. WeightsError, SettingsError, StoreError."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    check_strategy(settings)
    journal = open_journal(settings)
    access = Access(settings.label_studio_url, settings.label_studio_api_key)
    return Worker(Office(settings, journal, open_session(settings), access))
