"""The worker: calls the model's `fit` hook for every project that needs it, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from backend.errors import AlfaMixError
from backend.model import AlfaMixModel
from backend.predictor import UNNUMBERED_VERSION
from backend.projects import Office, reconcile
from backend.settings import Settings
from backend.startup import open_journal, open_session
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
        return UNNUMBERED_VERSION if found is None else found.model_version

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        raise AlfaMixError("the worker answers no predictions; the web process does")

    def fit(self, project: str, event: str) -> dict[str, Any]:
        reconcile(self._office, project)
        return {"model_version": self.version(project)}


@dataclass
class Retries:
    """When a project whose last attempt failed may be tried again; the wait doubles."""

    waits_s: dict[str, float] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)

    def may_try(self, key: str, now: float) -> bool:
        return now >= self.not_before.get(key, 0.0)

    def failed(self, key: str, now: float) -> float:
        wait_s = min(2 * self.waits_s.get(key, FIRST_RETRY_S / 2), LAST_RETRY_S)
        self.waits_s[key] = wait_s
        self.not_before[key] = now + wait_s
        return wait_s

    def succeeded(self, key: str) -> None:
        self.waits_s.pop(key, None)
        self.not_before.pop(key, None)


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
                    self._work_on(state)
            self.stop.wait(TICK_S)

    def _needs_work(self, state: ProjectState) -> bool:
        if not self._retries.may_try(state.key, time.monotonic()):
            return False
        if state.changed != state.seen:
            return True
        waited_s = self._office.journal.now() - state.checked_at
        return state.connected and waited_s >= self._office.settings.poll_s

    def _work_on(self, state: ProjectState) -> None:
        try:
            self._model_class(project_id=state.key).fit(RECONCILE, {})
        except AlfaMixError as error:
            self._note_failure(state, str(error))
        except Exception as error:
            # One project's surprise must not stop the others.
            logger.exception("project %d: unexpected error", state.project_id)
            self._note_failure(state, f"unexpected {type(error).__name__}: {error}")
        else:
            self._retries.succeeded(state.key)

    def _note_failure(self, state: ProjectState, message: str) -> None:
        wait_s = self._retries.failed(state.key, time.monotonic())
        logger.warning("project %d: %s; trying again in %.0f s", state.project_id, message, wait_s)
        self._office.journal.set_error(state.key, message)


def open_worker(settings: Settings) -> Worker:
    """A worker with its network loaded. WeightsError, SettingsError, StoreError."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    journal = open_journal(settings)
    return Worker(Office(settings, journal, open_session(settings)))
