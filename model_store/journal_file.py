"""The journal's file, its verified copy, and the way back to it.

The copy is made by SQLite's backup, which takes one moment's state while others write, and is kept
only where every row of it can be read; so it also finds damage that nobody came across. Going back
to it must find nobody else at work in the folder. The damaged file is kept aside (see leftovers).
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from backend.errors import JournalDamagedError
from model_store.database import lacks
from model_store.files import set_aside, write_atomically
from model_store.journal import JOURNAL_NAME, Journal, url_of
from model_store.sqlite import named

logger = logging.getLogger(__name__)

COPY_NAME = "journal-copy.sqlite"
# How long somebody else's lock is waited for: whoever mends is to end soon where it is told to.
MEND_BUSY_S = 3.0
# What SQLite keeps beside a database: changes that are not in it yet, and their index.
LOG_SUFFIX, INDEX_SUFFIX = "-wal", "-shm"


def file_of(folder: Path) -> int | None:
    """Which file the journal of a folder is, whatever is in it; None where there is none.

    Who has it open goes on with the file that it opened, also when that is deleted.
    """
    try:
        return (folder / JOURNAL_NAME).stat().st_ino
    except FileNotFoundError:
        return None


def copy_journal(folder: Path) -> None:
    """Copy the journal of a folder, whole or not at all, in the place of an earlier copy.

    JournalDamagedError: it is gone, or something in it cannot be read. StoreError: the copy cannot
    be written.
    """
    source = folder / JOURNAL_NAME
    if not source.exists():
        raise JournalDamagedError("the journal is gone")
    write_atomically(folder / COPY_NAME, lambda temporary: _copy(source, temporary))


def mend_journal(folder: Path) -> None:
    """See that the journal of a folder is sound; else go back to its copy, or begin anew.

    Nobody else may have it open. One that is missing, or empty, beside its copy is not sound.

    JournalError: it cannot be opened for another reason. StoreError: nothing can be written there.
    """
    source, copy = folder / JOURNAL_NAME, folder / COPY_NAME
    if _is_sound(source):
        return
    if copy.exists() and _is_readable(copy):
        _set_aside(source)
        write_atomically(source, lambda temporary: _fill(temporary, copy))
        logger.warning("the journal went back to its copy")
        return
    if source.exists() and not _is_readable(source):
        _set_aside(source)
        logger.error("the journal is lost and begins anew: projects come back as Label Studio asks")
    Journal(url_of(source)).close()


def _is_sound(path: Path) -> bool:
    """Whether a journal lacks nothing, and all of it can be read."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        is_complete = not lacks(url_of(path), MEND_BUSY_S)
    except JournalDamagedError:
        return False
    return is_complete and _is_readable(path)


def _is_readable(path: Path) -> bool:
    """Whether all of a journal can be read; what it lacks is added, empty."""
    try:
        with closing(Journal(url_of(path), busy_s=MEND_BUSY_S)) as journal:
            journal.upkeep.verify()
    except JournalDamagedError as error:
        logger.error("%s: %s", path.name, error)
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as journal, closing(sqlite3.connect(target)) as copy:
            journal.backup(copy)
    except sqlite3.DatabaseError as error:
        raise named(error) or error from error
    if not _is_readable(target):
        raise JournalDamagedError("the journal is damaged: a copy of it cannot be read")


def _fill(path: Path, copy: Path) -> None:
    """Make of a copy a journal to go on with."""
    shutil.copyfile(copy, path)
    with closing(Journal(url_of(path))) as journal:
        journal.upkeep.rewind()


def _set_aside(source: Path) -> None:
    """Put a journal and its log out of the way of another one."""
    for path in (Path(f"{source}{LOG_SUFFIX}"), source):
        if path.exists():
            logger.warning("%s is set aside as %s", path.name, set_aside(path).name)
    Path(f"{source}{INDEX_SUFFIX}").unlink(missing_ok=True)
