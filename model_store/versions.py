"""A round's version: one readable string in `/setup`, `/predict`, predictions and project."""

from __future__ import annotations

import re

# Before the first round.
UNNUMBERED = "alfa-mix"
_NUMBERED = re.compile(r"alfa-mix r(\d+) · (\d+) labels")


def model_version(round_number: int, label_count: int) -> str:
    """The version string of a round."""
    return f"{UNNUMBERED} r{round_number} · {label_count} labels"


def round_number(version: str) -> int | None:
    """The round that a version string names; None for any other string."""
    match = _NUMBERED.fullmatch(version)
    return int(match.group(1)) if match else None


def label_count(version: str) -> int | None:
    """How many labels a version string names; None for any other string."""
    match = _NUMBERED.fullmatch(version)
    return int(match.group(2)) if match else None
