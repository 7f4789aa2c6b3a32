"""Faults of the disk and of files below MODEL_DIR."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from backend.harness import damage
from backend.harness.disk import Disk
from backend.process.startup import folder_of
from backend.settings import Settings
from benchmarks.faults.fault import Fault
from benchmarks.faults.loop import Loop
from benchmarks.faults.of_processes import (
    ANY_MOMENT_S,
    WORKER,
    process,
    processes,
    start_again,
)
from model_store import phases
from model_store.journal import JOURNAL_NAME
from model_store.project_folder import ProjectFolder

LASTS_S = 8.0
CUT_BYTES = 10_000


def journal_file(loop: Loop) -> Path:
    """The journal's file."""
    return folder_of(Settings.from_environ(loop.backend.env)) / JOURNAL_NAME


def project_folder(loop: Loop) -> ProjectFolder:
    """The folder of the loop's project."""
    return ProjectFolder(journal_file(loop).parent / loop.status()["key"])


def flip_pages(file: Path) -> None:
    """Every page but the first is damaged."""
    damage.settle(file)
    damage.flip_pages(file)


def lose_column(file: Path) -> None:
    """A column is missing."""
    damage.execute(file, "ALTER TABLE project DROP COLUMN tab_id")


def lose_table(file: Path) -> None:
    """A table is missing."""
    damage.execute(file, "DROP TABLE batch")


def damage_journal(how: Callable[[Path], None], loop: Loop, _rng: random.Random) -> None:
    """The journal is damaged under the backend, which has a copy of it by then."""
    file = journal_file(loop)
    copy = file.with_name("journal-copy.sqlite")
    loop.wait_for("a copy of the journal", copy.exists)
    worker = process(loop, WORKER)
    how(file)
    loop.wait_for("the worker to notice", lambda: worker not in processes(loop))


def lose_journal_and_copy(loop: Loop, _rng: random.Random) -> None:
    """The journal and its copy are gone when the backend is started."""
    file = journal_file(loop)
    loop.backend.stop()
    for path in file.parent.glob("journal*"):
        path.unlink()
    loop.backend.start()


def lock_journal(loop: Loop, _rng: random.Random) -> None:
    """Another process holds the journal's lock for a while."""
    with damage.write_lock(journal_file(loop)):
        time.sleep(LASTS_S)


def damage_round(loop: Loop, _rng: random.Random) -> None:
    """The worker is killed while it publishes, and the round's ranking is cut short."""
    with loop.lane.journal() as journal:
        key = loop.status()["key"]

        def publishing() -> bool:
            latest = journal.latest_round(key)
            return latest is not None and latest.phase == phases.PUBLISH

        loop.lane.way.delay_s = 0.5
        loop.wait_for("a round to publish", publishing)
        latest = journal.latest_round(key)
        os.kill(process(loop, WORKER), signal.SIGKILL)
        loop.lane.way.delay_s = 0.0
    assert latest is not None
    damage.cut_short(project_folder(loop).ranking_file(latest.number))


def damage_networks(loop: Loop, _rng: random.Random) -> None:
    """All checkpoints are cut short, and the worker is killed."""
    for path in project_folder(loop).checkpoints.glob("*.safetensors"):
        damage.cut_short(path)
    os.kill(process(loop, WORKER), signal.SIGKILL)


def damage_embeddings(loop: Loop, _rng: random.Random) -> None:
    """All embeddings are damaged in the middle, and the worker is killed."""
    for path in project_folder(loop).embeddings.rglob("*.parquet"):
        damage.flip_bytes(path, path.stat().st_size // 2, 64)
    os.kill(process(loop, WORKER), signal.SIGKILL)


FAULTS = (
    Fault("journal: pages damaged", partial(damage_journal, flip_pages)),
    Fault(
        "journal: cut short",
        partial(damage_journal, partial(damage.cut_short, kept=CUT_BYTES)),
    ),
    Fault("journal: deleted under it", partial(damage_journal, Path.unlink)),
    Fault("journal: a column lost", partial(damage_journal, lose_column)),
    Fault("journal: a table lost", partial(damage_journal, lose_table)),
    Fault("journal: lost with its copy", lose_journal_and_copy),
    Fault("journal: locked by another process for 8 s", lock_journal),
    Fault("ranking of an open round cut short", damage_round),
    Fault("all checkpoints cut short", damage_networks),
    Fault("embeddings damaged", damage_embeddings),
)


def fill_disk(disk: Disk, _loop: Loop, _rng: random.Random) -> None:
    """No space is left for a while."""
    disk.fill()
    time.sleep(LASTS_S)
    disk.free()


def cut_power(disk: Disk, loop: Loop, rng: random.Random) -> None:
    """The power goes at any moment; what was not written to the disk by then is gone."""
    time.sleep(rng.uniform(0.0, ANY_MOMENT_S))
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in processes(loop):
            os.kill(pid, number)
        if number == signal.SIGSTOP:
            copy = disk.photograph()
    loop.wait_for("all processes to be gone", lambda: not processes(loop))
    disk.go_back(copy)
    start_again(loop)


def of_disk(disk: Disk) -> tuple[Fault, ...]:
    """The faults of the disk that MODEL_DIR is on."""
    return (
        Fault("no space left on the disk for 8 s", partial(fill_disk, disk)),
        Fault("power lost", partial(cut_power, disk), 5),
    )
