"""What the doctor found: a line each, and the line that mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from backend.errors import AlfaMixError


class Verdict(StrEnum):
    """How good a finding is; only FAIL keeps the backend from its work."""

    OK = "ok"
    NOTE = "note"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One line of the report; `remedy` is what to do, "" where nothing is to be done."""

    verdict: Verdict
    topic: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.verdict:<5} {self.topic}: {self.text}"
        return f"{line}\n      -> {self.remedy}" if self.remedy else line


def ok(topic: str, text: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, topic, text)


def note(topic: str, text: str, remedy: str = "") -> Finding:
    """It works, but the admin should know."""
    return Finding(Verdict.NOTE, topic, text, remedy)


def fail(topic: str, text: str, remedy: str = "") -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, topic, text, remedy)


def checked(topic: str, check: Callable[[], str], remedy: str = "") -> Finding:
    """What a check says, or the error that it raised: AlfaMixError, OSError."""
    try:
        return ok(topic, check())
    except (AlfaMixError, OSError) as error:
        return fail(topic, str(error), remedy)
