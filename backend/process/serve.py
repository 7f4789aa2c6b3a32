"""`serve`: gunicorn (one process, threads) and one worker, kept alive and ended together."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from backend.process.exposure import keep_files_private
from backend.process.logs import start_logging
from backend.process.supervised import Supervised
from backend.process.supervisor import Supervisor, prepare
from backend.process.worker_lock import settled_at
from backend.settings import Settings

WEB_THREADS = 16
LOOK_EVERY_S = 0.2
NICENESS = 10
# A web process that ran so long could listen and open the journal.
SETTLED_S = 30.0


def main(argv: list[str]) -> int:
    """Serve with the settings of the environment; its exit status."""
    argparse.ArgumentParser(prog="python -m backend serve", description=__doc__).parse_args(argv)
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    keep_files_private()
    return serve(settings)


def serve(settings: Settings) -> int:
    """Run both processes until SIGTERM or SIGINT; one that dies is started again.

    The exit status; StoreError: MODEL_DIR cannot be worked in, said before anything is started.
    """
    prepare(settings)
    # A plain flag: a second signal may interrupt the handler of the first, and take no lock.
    stopping = False

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    supervisor = Supervisor(settings, _worker(settings), _web(settings))
    status = None
    try:
        while not stopping and status is None:
            status = supervisor.look()
            time.sleep(LOOK_EVERY_S)
    finally:
        supervisor.end()
    return status or 0


def web_command(settings: Settings) -> list[str]:
    """gunicorn's command line."""
    return [
        *(sys.executable, "-m", "gunicorn", "backend.web.wsgi:app()"),
        *("--bind", f"{settings.host}:{settings.port}"),
        *("--worker-class", "backend.web.buffered_worker.BufferedWorker"),
        *("--workers", "1", "--threads", str(WEB_THREADS)),
        *("--timeout", "120", "--graceful-timeout", "10", "--log-level", "warning"),
    ]


def worker_command() -> list[str]:
    """The worker's command line; it gives way to the web process where processors are few."""
    return [sys.executable, "-m", "backend", "worker", "--nice", str(NICENESS)]


def _worker(settings: Settings) -> Supervised:
    last_settled = settled_at(settings)

    def is_settled(_ran_s: float) -> bool:
        nonlocal last_settled
        before, last_settled = last_settled, settled_at(settings)
        return last_settled != before

    return Supervised("worker", worker_command(), is_settled)


def _web(settings: Settings) -> Supervised:
    return Supervised("web process", web_command(settings), lambda ran_s: ran_s >= SETTLED_S)
