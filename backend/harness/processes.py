"""Processes as the system shows them (Linux)."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc")


def is_gone(process_id: int) -> bool:
    """Whether no such process runs; one that ended and nobody waited for counts as gone."""
    try:
        state = (PROC / str(process_id) / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def with_variable(variable: str) -> dict[int, str]:
    """Id and command line of the running processes that have `NAME=value` in the environment."""
    found = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environ = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue
        if variable.encode() in environ and command and not is_gone(int(entry.name)):
            found[int(entry.name)] = command
    return found
