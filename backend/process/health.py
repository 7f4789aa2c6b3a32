"""What the web process says of the backend as a whole: what keeps it from its work, what happened.

No sentence names a path or holds a secret.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from backend.errors import JournalError
from backend.process.startup import folder_of, machine_folder
from backend.process.troubles import Troubles
from backend.settings import Settings
from model_store.files import DAMAGED_SUFFIX
from model_store.journal import JOURNAL_NAME, Journal


class Health:
    """The health of the backend in one MODEL_DIR; it takes milliseconds to ask for."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._folder = folder_of(settings)
        self._troubles = Troubles(machine_folder(settings))
        self._journal = journal

    def troubles(self) -> list[str]:
        """What keeps the backend from its work now; nothing where all is well."""
        found = self._troubles.sentences()
        try:
            self._journal.upkeep.probe()
        except JournalError as error:
            found.append(str(error))
        return found

    def notices(self) -> list[str]:
        """What an admin should know of the last weeks."""
        damaged = self._folder / f"{JOURNAL_NAME}{DAMAGED_SUFFIX}"
        set_aside_on = _changed_on(damaged)
        if set_aside_on is None:
            return []
        return [
            f"on {set_aside_on} the journal was damaged, and went back to its copy or began anew; "
            f"the damaged one is kept as {damaged.name}"
        ]


def _changed_on(path: Path) -> str | None:
    """The day on which a file was last touched, by UTC; None where there is none."""
    try:
        changed_at = path.stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(changed_at, UTC).date().isoformat()
