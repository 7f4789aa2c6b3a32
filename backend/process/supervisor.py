"""Keeps a web process and a worker alive, and the journal between them sound."""

from __future__ import annotations

import logging
from contextlib import closing

from backend.errors import StoreError
from backend.process.startup import folder_of, machine_folder, open_journal
from backend.process.supervised import SIGNALLED, Supervised
from backend.process.troubles import Troubles
from backend.process.worker_lock import WorkerLock
from backend.settings import Settings
from model_store.journal_file import mend_journal

logger = logging.getLogger(__name__)

# Exit statuses of the worker, as sysexits.h names them: the journal is damaged (EX_DATAERR), and no
# restart can help (EX_CONFIG).
EXIT_DAMAGED = 65
EXIT_CONFIG = 78
# A worker that was told to end, or whose `serve` was killed, is gone after so many seconds.
ENDING_S = 10.0
# One that ends once is started again without a word on `/health`.
TOLD_FROM_FAILURES = 2
# Who notes what this module does.
SERVE = "serve"


def prepare(settings: Settings) -> None:
    """See that MODEL_DIR can be worked in: its journal is whole, or whole again; troubles are over.

    StoreError: it or the database cannot be written, or another worker works there.
    """
    with closing(WorkerLock(settings, ENDING_S)):
        if settings.database_url:
            open_journal(settings).close()
        else:
            mend_journal(folder_of(settings))
        Troubles(machine_folder(settings)).clear_all()


class Supervisor:
    """The two processes of one `serve`."""

    def __init__(self, settings: Settings, worker: Supervised, web: Supervised) -> None:
        self._settings = settings
        self._worker = worker
        self._web = web
        self._troubles = Troubles(machine_folder(settings))
        self._is_damaged = False

    def look(self) -> int | None:
        """Start what is due; an exit status where there is no use in going on."""
        for process in (self._worker, self._web):
            status = process.ended()
            if status is not None and self._is_final(process, status):
                return status
            if status is not None:
                self._note(process, status)
        if self._is_damaged and self._worker.is_due:
            self._mend()
        for process in (self._worker, self._web):
            if process.is_due and not self._is_damaged:
                _start(process)
        return None

    def end(self) -> None:
        """End both; returns when they are gone."""
        for process in (self._worker, self._web):
            process.let_go()
        for process in (self._worker, self._web):
            process.end()

    def _is_final(self, process: Supervised, status: int) -> bool:
        # What keeps the web process from its first start, as a port that is taken, is said at once.
        is_first = process is self._web and process.failures == 0 and not process.has_settled
        return status == EXIT_CONFIG or (is_first and 0 < status < SIGNALLED)

    def _note(self, process: Supervised, status: int) -> None:
        self._is_damaged |= status == EXIT_DAMAGED
        wait_s = process.wait()
        sentence = (
            f"the {process.name} ended with status {status}, {process.failures} times before it "
            f"settled; it is started again in {wait_s:.0f} s"
        )
        if process is self._worker and process.failures >= TOLD_FROM_FAILURES:
            self._troubles.note(SERVE, sentence)
        else:
            logger.error("%s", sentence)

    def _mend(self) -> None:
        """Mend the journal while nobody has it open."""
        self._web.end()
        try:
            prepare(self._settings)
        except StoreError as error:
            wait_s = self._worker.wait()
            self._troubles.note(SERVE, f"{error}; tried again in {wait_s:.0f} s")
        else:
            self._is_damaged = False


def _start(process: Supervised) -> None:
    try:
        process.start()
    except OSError as error:
        wait_s = process.wait()
        logger.error("the %s cannot be started: %s; trying in %.0f s", process.name, error, wait_s)
