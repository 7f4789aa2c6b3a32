"""Fifty rounds without a fault: what the processes and MODEL_DIR have at their start and end.

The backend has a personal access token: what it asks with expires every five minutes.
"""

from __future__ import annotations

import time
from pathlib import Path

from backend.harness.processes import PROC
from backend.harness.proxy import Fails, Failure
from benchmarks.faults.check import findings
from benchmarks.faults.loop import Loop, Site, running_lane
from benchmarks.faults.of_processes import WEB, WORKER, process
from benchmarks.faults.table import Growth, Row, Table

# Before these, memory and files are on their way to what they stay at.
WARM_UP = 20
# Connections to Label Studio that nobody uses are closed by then.
REST_S = 10.0
MIB = 2**20
IMAGES = 600
# Rounds come soon.
PAUSE_S = 1.2
# Label Studio lets one live for five minutes.
EXPIRED_S = 330.0
REFRESH = "/api/token/refresh"


def grown(site: Site, table: Table, rounds: int) -> None:
    """Add the rows of so many rounds, after the warm-up, and of the token that expires in them."""
    settings = {"LABEL_STUDIO_API_KEY": personal_token(site)}
    with (
        running_lane(site, "growth", settings, pause_s=PAUSE_S) as lane,
        Loop(lane, IMAGES) as loop,
    ):
        refreshes: list[str] = []
        lane.way.fails = _noted(refreshes)
        growth = measured(loop, rounds)
        loop.wait_for("an access token to expire", lambda: bool(refreshes), EXPIRED_S)
        expired = loop.recovered()
        found = findings(loop)
    lost, doubled = len(found.lost), len(found.doubled)
    table.add(Row("rounds without a fault", rounds, lost, doubled, 0, None), found, growth)
    row = Row.of("personal token's access token expired", [expired], found, len(refreshes))
    table.add(row, found)


def personal_token(site: Site) -> str:
    """A personal access token of the admin."""
    allowed = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    site.api.call("POST", "/api/jwt/settings", json=allowed)
    return site.api.call("POST", "/api/token/")["token"]


def measured(loop: Loop, rounds: int) -> list[Growth]:
    """What grew over so many rounds, after the warm-up."""
    start, end = (_at_rest(loop, number) for number in (WARM_UP, WARM_UP + rounds))
    return [Growth(what, start[what], end[what]) for what in start]


def _at_rest(loop: Loop, number: int) -> dict[str, float]:
    """The numbers after a round, when nobody labels for a while and what was asked is done."""
    loop.backend.wait_for_round(loop.project_id, number)
    loop.crew.stop()
    loop.wait_for("all work to be done", lambda: loop.status()["background"] is None)
    time.sleep(REST_S)
    found = numbers(loop)
    loop.crew.start()
    return found


def _noted(refreshes: list[str]) -> Fails:
    """No failure; notes each request for an access token."""

    def fails(_method: str, path: str) -> Failure | None:
        if path.startswith(REFRESH):
            refreshes.append(path)
        return None

    return fails


def numbers(loop: Loop) -> dict[str, float]:
    """What worker, web process and MODEL_DIR have now."""
    found = {}
    for name, pid in (
        ("worker", process(loop, WORKER)),
        ("web process", process(loop, WEB, last=True)),
    ):
        state = _state(pid)
        found[f"{name}: memory in MiB"] = round(state["VmRSS"] / 1024, 1)
        found[f"{name}: threads"] = state["Threads"]
        found[f"{name}: open files"] = len(list((PROC / str(pid) / "fd").iterdir()))
    found["MODEL_DIR: MiB"] = round(size(Path(loop.backend.env["MODEL_DIR"])) / MIB, 2)
    return found


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _state(pid: int) -> dict[str, int]:
    """The numbers of /proc/<pid>/status; memory in KiB."""
    lines = (PROC / str(pid) / "status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {
        name: int(words.split()[0])
        for name, words in pairs
        if words.split() and words.split()[0].isdigit()
    }
