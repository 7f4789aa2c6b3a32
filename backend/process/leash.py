"""Run one command and end its whole process group as soon as standard input closes.

Started as a script of its own, it ties a process to the one that asked for it: the pipe closes
however that one ends, also by SIGKILL. SIGTERM ends the command as well, and where the leash itself
is killed the kernel ends the command with it (Linux only). Standard library only.
"""

from __future__ import annotations

import ctypes
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from os import killpg
from pathlib import Path

# Seconds that a command has to end by itself; longer than `serve` gives its own children.
GRACE_S = 30.0
LOOK_EVERY_S = 0.1
# <sys/prctl.h>: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str], grace_s: float = GRACE_S) -> list[str]:
    """The command line that runs a command on a leash; `grace_s` after SIGTERM comes SIGKILL."""
    return [sys.executable, str(Path(__file__)), str(grace_s), *command]


def run(command: list[str], grace_s: float) -> int:
    """The command's exit status, once it ended by itself or was ended; 128 + N for signal N."""
    # A plain flag: a second signal may interrupt the handler of the first, and take no lock.
    is_asked = False

    def ask_to_end(*_: object) -> None:
        nonlocal is_asked
        is_asked = True

    signal.signal(signal.SIGTERM, ask_to_end)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_the_leash if sys.platform == "linux" else None,
    )
    while process.poll() is None and not is_asked and not _is_released():
        pass
    status = _end(process, grace_s)
    _signal_group(process, signal.SIGKILL)
    return status if status >= 0 else 128 - status


def _end_with_the_leash() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_released() -> bool:
    """Whether standard input closed; takes LOOK_EVERY_S seconds where it did not."""
    return bool(select.select([sys.stdin], [], [], LOOK_EVERY_S)[0])


def _end(process: subprocess.Popen[bytes], grace_s: float) -> int:
    """The status of a process that ended, or is ended now: in `grace_s` seconds with its group."""
    deadline = time.monotonic() + grace_s
    process.terminate()
    while process.poll() is None:
        if time.monotonic() > deadline:
            _signal_group(process, signal.SIGKILL)
        time.sleep(LOOK_EVERY_S)
    return process.returncode


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], float(sys.argv[1])))
