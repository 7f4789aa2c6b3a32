"""What is held against Label Studio after a fault: nothing may be lost, nothing doubled.

Label Studio is asked through its API; the backend's journal is read beside it.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator

from backend.harness import project
from benchmarks.faults.loop import POLL_S, Loop
from benchmarks.faults.table import Findings
from model_store import versions

# By then a round counted every label, and the connection was looked at a few times.
SETTLE_S = 180.0


def findings(loop: Loop, settle_s: float = SETTLE_S) -> Findings:
    """What is lost and doubled once nobody labels and a round was asked for; people stay at home.

    What mends itself within `settle_s` seconds counts as mended.
    """
    loop.crew.stop()
    loop.start_training()
    deadline = time.monotonic() + settle_s
    while True:
        found = Findings(list(_lost(loop)), list(_doubled(loop)))
        if not (found.lost or found.doubled) or time.monotonic() > deadline:
            return found
        time.sleep(POLL_S)


def _lost(loop: Loop) -> Iterator[str]:
    tasks = project.all_tasks(loop.api, loop.project_id)
    labeled = sum(bool(task["is_labeled"]) for task in tasks)
    status = loop.status()
    last = status.get("last_round")
    counted = last["labels"] if last else 0
    if counted != labeled:
        yield f"{labeled} tasks are labeled, the last round counted {counted}"
    if last is None:
        return
    with loop.lane.journal() as journal:
        lacking = {task["id"] for task in tasks} - set(journal.tasks.ids(status["key"]))
    yield from (f"task {task_id} is not known" for task_id in sorted(lacking))
    followed = loop.fields()["model_version"]
    if followed != status["model_version"]:
        yield f"the queue follows {followed!r}, the journal {status['model_version']!r}"
    newest = max(map(_number, _versions(loop)), default=-1)
    if newest > status["round"]:
        yield f"round {newest} was published, the journal knows {status['round']} at most"


def _doubled(loop: Loop) -> Iterator[str]:
    for (task_id, version), count in _versions_of_tasks(loop).items():
        if count > 1:
            yield f"task {task_id} has {count} predictions of {version}"
    names = defaultdict(set)
    for version in _versions(loop):
        names[_number(version)].add(version)
    yield from (f"{sorted(same)} share a number" for same in names.values() if len(same) > 1)
    hooks = [hook["url"] for hook in loop.webhooks()]
    if len(hooks) > 1:
        yield f"the project has webhooks {hooks}"
    rows = [row["url"] for row in loop.rows()]
    if len(rows) > 1:
        yield f"the Model page has rows {rows}"


def _versions_of_tasks(loop: Loop) -> Counter[tuple[int, str]]:
    found = loop.api.call("GET", "/api/predictions/", params={"project": loop.project_id})
    return Counter((one["task"], one["model_version"]) for one in found)


def _versions(loop: Loop) -> set[str]:
    """The versions of rounds that predictions carry."""
    found = {version for _, version in _versions_of_tasks(loop)}
    return {version for version in found if versions.round_number(version) is not None}


def _number(version: str) -> int:
    number = versions.round_number(version)
    assert number is not None
    return number
