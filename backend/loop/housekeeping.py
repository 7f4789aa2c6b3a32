"""What keeps MODEL_DIR sound for months: a copy of the journal, and nothing that nobody needs.

A journal that is not a file of MODEL_DIR is not copied: that is for its database's own backups.

The rule for the copy: after every round, and every ten minutes in which anything happened; later
where copying takes long, so that it takes a fiftieth of the time at most. What is removed, and
when: a project that has been disconnected for 30 days, with its folder, and after as long what a
machine noted that does so no more; for the rest see `model_store`, `upkeep` and `leftovers`.
"""

from __future__ import annotations

import logging
import math
import re
import shutil
import time
from pathlib import Path

from backend.errors import JournalDamagedError, StoreError
from backend.process.startup import MACHINES
from model_store.journal import Journal
from model_store.journal_file import copy_journal, file_of
from model_store.leftovers import DAY_S, remove_leftovers
from model_store.thumbnails import drop_old_thumbnails

logger = logging.getLogger(__name__)

COPY_EVERY_S = 600.0
# Of the time that passes, what copying may take.
COPY_SHARE = 1 / 50
CLEAN_EVERY_S = 6 * 3600.0
GONE_AFTER_S = 30 * DAY_S
# A project's key, which is the name of its folder.
KEY = re.compile(r"\d+\.\d+")


class Housekeeping:
    """One MODEL_DIR's, of one worker. Every method raises StoreError."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._file = file_of(folder)
        self._copied: tuple[int, ...] | None = None
        self._copied_at = self._cleaned_at = self._not_before = -math.inf

    def tend(self) -> bool:
        """Do what is due; False: there is no hurry. JournalDamagedError."""
        is_embedded = self._journal.is_embedded
        if is_embedded and file_of(self._folder) != self._file:
            raise JournalDamagedError("the journal is gone, or another file is in its place")
        if time.monotonic() - self._cleaned_at >= CLEAN_EVERY_S:
            self._clean_among_others()
            self._cleaned_at = time.monotonic()
        if is_embedded:
            self.keep_copy()
        return False

    def keep_copy(self) -> None:
        """Copy the journal where that is due. JournalDamagedError: it cannot be read whole."""
        started, stamp = time.monotonic(), self._journal.upkeep.stamp()
        if started < self._not_before or stamp == self._copied:
            return
        is_same_round = self._copied is not None and stamp[0] == self._copied[0]
        if is_same_round and started - self._copied_at < COPY_EVERY_S:
            return
        copy_journal(self._folder)
        self._copied, self._copied_at = stamp, time.monotonic()
        self._not_before = self._copied_at + (self._copied_at - started) / COPY_SHARE

    def _clean_among_others(self) -> None:
        """Remove what the rules say. StoreError: a file cannot be looked at, or went meanwhile."""
        try:
            self.clean()
        except OSError as error:
            raise StoreError(f"MODEL_DIR cannot be tidied: {error.strerror}") from error

    def clean(self) -> None:
        """Remove what the rules say."""
        now = self._journal.now()
        for key in self._journal.upkeep.drop_gone_projects(now - GONE_AFTER_S):
            logger.info("project %s is forgotten: it has been disconnected for 30 days", key)
        self._journal.upkeep.drop_old_rows()
        known = {state.key for state in self._journal.projects()}
        projects = [path for path in self._folder.iterdir() if KEY.fullmatch(path.name)]
        machines = self._folder.glob(f"{MACHINES}/*")
        for path in (*(path for path in projects if path.name not in known), *machines):
            if now - _last_changed_at(path) > GONE_AFTER_S:
                logger.info("%s is removed: its project or machine is gone", path)
                shutil.rmtree(path, ignore_errors=True)
        for path in projects:
            drop_old_thumbnails(path)
        remove_leftovers(self._folder, now)


def _last_changed_at(folder: Path) -> float:
    """When a file last came or went in a folder or below it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return max(path.stat().st_mtime for path in folders)
