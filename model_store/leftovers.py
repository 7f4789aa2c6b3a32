"""What processes that were killed, and damaged files that were set aside, leave on the disk.

The rule: a file that was being written goes after an hour, when nobody writes it any more; what is
damaged stays for 30 days, for whoever wants to look at it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from model_store.files import DAMAGED_SUFFIX, TEMPORARY_PREFIX

logger = logging.getLogger(__name__)

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
# Seconds that files stay after they were last written, by the names they have.
KEPT_S: Mapping[str, float] = {
    f"{TEMPORARY_PREFIX}*": HOUR_S,
    f"*{DAMAGED_SUFFIX}": 30 * DAY_S,
}


def remove_leftovers(folder: Path, now: float) -> None:
    """Remove what the rule says, below a folder; `now` in seconds since the epoch."""
    for pattern, kept_s in KEPT_S.items():
        for path in folder.rglob(pattern):
            if now - _written_at(path, now) > kept_s:
                _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("a leftover stays: %s", error)
    else:
        logger.info("%s is removed: it is a leftover", path)


def _written_at(path: Path, now: float) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # renamed by whoever writes it
        return now
