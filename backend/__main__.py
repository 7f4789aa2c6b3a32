"""`python -m backend serve | worker | doctor | demo | pretrain | backtest`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys

from backend.errors import AlfaMixError, SettingsError, WeightsError
from backend.process.logs import start_logging
from backend.process.startup import lock_worker
from backend.settings import Settings

# Each has a `main(argv) -> int` of its own; imported when it is asked for.
COMMANDS = {
    "backtest": ("backend.backtest.command", "would it save labels? a project's own, replayed"),
    "demo": ("backend.demo.command", "Label Studio, the backend and a sample project, ready"),
    "doctor": ("backend.doctor", "check settings, weights and every connected project"),
    "pretrain": ("backend.pretraining.command", "DINO pre-training on your own images"),
}


def main(argv: list[str]) -> int:
    """Run one command; its exit status."""
    if argv and argv[0] in COMMANDS:
        return importlib.import_module(COMMANDS[argv[0]][0]).main(argv[1:])
    arguments = _parser().parse_args(argv)
    settings = Settings.from_environ()
    start_logging(settings.log_level)
    if arguments.command == "serve":
        from backend.process.serve import serve

        return serve(settings)
    return _work(settings, arguments.nice)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="the backend: the web process and one worker")
    worker = commands.add_parser("worker", help="one worker alone")
    worker.add_argument("--nice", type=int, default=0, help="niceness of the process")
    for name, (_module, help) in COMMANDS.items():
        commands.add_parser(name, help=help, add_help=False)
    return parser


def _work(settings: Settings, niceness: int) -> int:
    os.nice(niceness)
    with lock_worker(settings):
        return _run_worker(settings)


def _run_worker(settings: Settings) -> int:
    from backend.loop.worker import open_worker
    from backend.process.serve import EXIT_CONFIG

    try:
        worker = open_worker(settings)
    except (WeightsError, SettingsError) as error:
        logging.error("%s", error)
        return EXIT_CONFIG
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    worker.run()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except AlfaMixError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
