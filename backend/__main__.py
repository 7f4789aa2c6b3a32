"""`python -m backend <command>`.

Exit status: 0 done; 1 it failed, with a sentence on standard error; 2 the command line is wrong.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from backend.errors import AlfaMixError


@dataclass(frozen=True)
class Command:
    """A module with a `main(argv) -> int`, imported when it is asked for, and what it does."""

    module: str
    help: str


COMMANDS: Mapping[str, Command] = {
    "serve": Command("backend.process.serve", "the backend: the web process and one worker"),
    "worker": Command("backend.loop.command", "one worker alone"),
    "doctor": Command(
        "backend.doctor.command", "check the machine, Label Studio and every connected project"
    ),
    "demo": Command(
        "backend.demo.command", "Label Studio, the backend and a sample project, ready"
    ),
    "backtest": Command(
        "backend.backtest.command", "would it save labels? a project's own, replayed"
    ),
    "pretrain": Command("backend.pretraining.command", "DINO pre-training on your own images"),
}


def main(argv: list[str]) -> int:
    """Run one command; its exit status."""
    if not argv or argv[0] not in COMMANDS:
        return _usage(argv)
    try:
        return importlib.import_module(COMMANDS[argv[0]].module).main(argv[1:])
    except AlfaMixError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _usage(argv: list[str]) -> int:
    is_asked = argv[:1] in (["-h"], ["--help"])
    lines = [f"  {name:<10}{command.help}" for name, command in COMMANDS.items()]
    found = "" if is_asked or not argv else f"there is no command {argv[0]!r}\n"
    text = f"{found}usage: python -m backend <command> ...\n\n" + "\n".join(lines)
    print(text, file=sys.stdout if is_asked else sys.stderr)
    return 0 if is_asked else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
