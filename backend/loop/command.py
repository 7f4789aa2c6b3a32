"""`python -m backend worker`: one worker alone, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from contextlib import closing

from backend.errors import JournalDamagedError, SettingsError, WeightsError
from backend.loop.worker import Worker, open_worker
from backend.process.exposure import keep_files_private
from backend.process.logs import start_logging
from backend.process.niceness import give_way
from backend.process.supervisor import ENDING_S, EXIT_CONFIG, EXIT_DAMAGED
from backend.process.worker_lock import WorkerLock
from backend.settings import Settings

ENDS_WITHIN_S = 5


def main(argv: list[str]) -> int:
    """Work until SIGTERM.

    EXIT_CONFIG where no restart can help, EXIT_DAMAGED where `serve` can: the journal is damaged.
    """
    parser = argparse.ArgumentParser(prog="python -m backend worker", description=__doc__)
    parser.add_argument("--nice", type=int, default=0, help="niceness of the process (%(default)s)")
    arguments = parser.parse_args(argv)
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    keep_files_private()
    give_way(arguments.nice)
    with closing(WorkerLock(settings, ENDING_S)) as lock:
        return _run(settings, lock)


def _run(settings: Settings, lock: WorkerLock) -> int:
    try:
        worker = open_worker(settings)
        _end_on_sigterm(worker)
        worker.run(lock.note_settled)
    except JournalDamagedError as error:
        logging.error("%s", error)
        # Not by way of Python's own end: a thread that computes may abort it, with another status.
        os._exit(EXIT_DAMAGED)
    except (WeightsError, SettingsError) as error:
        logging.error("%s", error)
        return EXIT_CONFIG
    return 0


def _end_on_sigterm(worker: Worker) -> None:
    """Have SIGTERM end the worker after the piece at hand, and after ENDS_WITHIN_S at the latest.

    Whatever is cut off goes on from its last finished step. Plain flags: a second signal may
    interrupt the handler of the first, and take no lock.
    """
    is_told = False

    def end(*_: object) -> None:
        nonlocal is_told
        worker.stopping = True
        if not is_told:
            is_told = True
            signal.alarm(ENDS_WITHIN_S)  # SIGALRM, which nobody handles

    signal.signal(signal.SIGTERM, end)
