"""Run one command and end its whole process group as soon as standard input closes.

Started as a script of its own, it ties a process to the one that asked for it: the pipe closes
however that one ends, also by SIGKILL. Standard library only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

# This script, for whoever starts it.
LEASH = Path(__file__)
# Longer than `serve` gives its own children.
GRACE_S = 30.0


def run(command: list[str]) -> int:
    """The command's exit status, once it ended by itself or because standard input closed."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_when_released, args=(process,), daemon=True).start()
    status = process.wait()
    _signal_group(process, signal.SIGKILL)
    return status


def _end_when_released(process: subprocess.Popen[bytes]) -> None:
    os.read(sys.stdin.fileno(), 1)
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
