"""`serve`: gunicorn (one process, threads) and one worker, kept alive and ended together."""

from __future__ import annotations

import argparse
import logging
import signal
import subprocess
import sys
import time
from types import FrameType

from backend.process.leash import LEASH
from backend.process.logs import start_logging
from backend.process.startup import open_journal
from backend.settings import Settings

logger = logging.getLogger(__name__)

WEB_THREADS = 8
# The worker's exit status when no restart can help: EX_CONFIG of sysexits.h.
EXIT_CONFIG = 78
RESTART_S = 1.0
LOOK_EVERY_S = 0.2
NICENESS = 10


def main(argv: list[str]) -> int:
    """Serve with the settings of the environment; its exit status."""
    argparse.ArgumentParser(prog="python -m backend serve", description=__doc__).parse_args(argv)
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    return serve(settings)


def serve(settings: Settings) -> int:
    """Run both processes until SIGTERM or SIGINT; a worker that dies is started again.

    The exit status; StoreError: MODEL_DIR cannot be written, said before anything is started.
    """
    open_journal(settings).close()
    # A plain flag: a second signal may interrupt the handler of the first, and take no lock.
    stopping = False

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    children = {"worker": _start(worker_command()), "web": _start(web_command(settings))}
    status = 0
    try:
        while not stopping and status == 0:
            status = _revive(children)
            time.sleep(LOOK_EVERY_S)
    finally:
        _end(list(children.values()))
    return status


def web_command(settings: Settings) -> list[str]:
    """gunicorn's command line."""
    return [
        *(sys.executable, "-m", "gunicorn", "backend.web.wsgi:app()"),
        *("--bind", f"{settings.host}:{settings.port}"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", str(WEB_THREADS)),
        *("--timeout", "120", "--graceful-timeout", "10", "--log-level", "warning"),
    ]


def worker_command() -> list[str]:
    """The worker's command line; it gives way to the web process where processors are few."""
    return [sys.executable, "-m", "backend", "worker", "--nice", str(NICENESS)]


def _revive(children: dict[str, subprocess.Popen]) -> int:
    for name, child in children.items():
        status = child.poll()
        if status is None:
            continue
        if status == EXIT_CONFIG or name == "web":
            return status or 1
        logger.error("the worker ended with status %d; starting it again", status)
        time.sleep(RESTART_S)
        children[name] = _start(worker_command())
    return 0


def _start(command: list[str]) -> subprocess.Popen:
    # Of its own session: a Ctrl-C in the terminal reaches only this process. It ends its children
    # by letting go of the leash, however it ends itself.
    return subprocess.Popen(
        [sys.executable, str(LEASH), *command], stdin=subprocess.PIPE, start_new_session=True
    )


def _end(children: list[subprocess.Popen]) -> None:
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
    for child in children:
        child.wait()
