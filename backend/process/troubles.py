"""What keeps the backend from its work: sentences in files beside the journal.

The journal cannot hold them: it may be what is in trouble. Whoever cannot go on notes why, and
takes it back when work goes on; the web process shows them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from backend.errors import StoreError
from model_store.files import write_bytes

logger = logging.getLogger(__name__)

SUFFIX = ".trouble"


class Troubles:
    """The troubles that were noted in one folder, one of each who noted any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, who: str, sentence: str) -> None:
        """Log a sentence and keep it, in the place of an earlier one of theirs."""
        logger.error("%s: %s", who, sentence)
        try:
            write_bytes(self._folder / f"{who}{SUFFIX}", sentence.encode())
        except StoreError as error:
            # A full disk: then whoever asks for the journal's health finds that out as well.
            logger.error("%s: the sentence could not be kept: %s", who, error)

    def clear(self, *whos: str) -> None:
        """Take back what they noted."""
        for who in whos:
            (self._folder / f"{who}{SUFFIX}").unlink(missing_ok=True)

    def clear_all(self) -> None:
        """Take back what anybody noted."""
        for path in self._folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)

    def sentences(self) -> list[str]:
        """What is noted, by who noted it."""
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                found.append(path.read_text(encoding="utf-8", errors="replace"))
            except FileNotFoundError:  # taken back meanwhile
                continue
        return found
