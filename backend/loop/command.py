"""`python -m backend worker`: one worker alone, until SIGTERM."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

from backend.errors import SettingsError, WeightsError
from backend.loop.worker import open_worker
from backend.process.logs import start_logging
from backend.process.serve import EXIT_CONFIG
from backend.process.worker_lock import lock_worker
from backend.settings import Settings


def main(argv: list[str]) -> int:
    """Work until SIGTERM; EXIT_CONFIG where no restart can help."""
    parser = argparse.ArgumentParser(prog="python -m backend worker", description=__doc__)
    parser.add_argument("--nice", type=int, default=0, help="niceness of the process (%(default)s)")
    arguments = parser.parse_args(argv)
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    os.nice(arguments.nice)
    with lock_worker(settings):
        return _run(settings)


def _run(settings: Settings) -> int:
    try:
        worker = open_worker(settings)
    except (WeightsError, SettingsError) as error:
        logging.error("%s", error)
        return EXIT_CONFIG

    def end(*_: object) -> None:
        worker.stopping = True
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    worker.run()
    return 0
