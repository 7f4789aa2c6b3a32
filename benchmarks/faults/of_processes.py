"""Faults of processes: one of `serve`'s, or all of them, are killed or told to end."""

from __future__ import annotations

import os
import random
import signal
import time

from backend.errors import DemoError
from backend.harness.processes import with_variable
from benchmarks.faults.fault import Fault
from benchmarks.faults.loop import Loop

SERVE, WORKER, WEB = "-m backend serve", "-m backend worker", "gunicorn"
# Between a round and the next one happens what may be disturbed.
ANY_MOMENT_S = 3.0


def processes(loop: Loop) -> dict[int, str]:
    """Ids and command lines of the backend's processes and their leashes."""
    return with_variable(f"PORT={loop.backend.port}")


def process(loop: Loop, words: str, *, leash: bool = False, last: bool = False) -> int:
    """The first or last started process whose command line holds these words, or its leash.

    DemoError: there is none.
    """
    found = sorted(processes(loop).items())
    ids = [pid for pid, line in found if words in line and ("leash" in line) is leash]
    if not ids:
        raise DemoError(f"no process {words!r}; needed is one")
    return ids[-1 if last else 0]


def start_again(loop: Loop) -> None:
    """Start the backend once all of it is gone, as whoever supervises it does."""
    loop.wait_for("all processes to be gone", lambda: not processes(loop))
    loop.backend.stop()
    loop.backend.start()


def kill_worker(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to the worker."""
    _kill(loop, rng, WORKER)


def kill_leash(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to the worker's leash."""
    _kill(loop, rng, WORKER, leash=True)


def kill_web_process(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to the process that answers."""
    _kill(loop, rng, WEB, last=True)


def kill_gunicorn(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to gunicorn's master."""
    _kill(loop, rng, WEB)


def kill_serve(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to `serve`, which is started again."""
    _kill(loop, rng, SERVE)
    start_again(loop)


def kill_all(loop: Loop, rng: random.Random) -> None:
    """SIGKILL to all at once, as where memory runs out; started again."""
    time.sleep(rng.uniform(0.0, ANY_MOMENT_S))
    for pid in processes(loop):
        os.kill(pid, signal.SIGKILL)
    start_again(loop)


def end_all(loop: Loop, rng: random.Random) -> None:
    """SIGTERM to the whole group, three times at once; started again."""
    time.sleep(rng.uniform(0.0, ANY_MOMENT_S))
    group = os.getpgid(process(loop, SERVE))
    for _ in range(3):
        os.killpg(group, signal.SIGTERM)
    start_again(loop)


def _kill(
    loop: Loop, rng: random.Random, words: str, *, leash: bool = False, last: bool = False
) -> None:
    time.sleep(rng.uniform(0.0, ANY_MOMENT_S))
    killed = process(loop, words, leash=leash, last=last)
    os.kill(killed, signal.SIGKILL)


FAULTS = (
    Fault("worker killed under serve", kill_worker, 5),
    Fault("the worker's leash killed", kill_leash),
    Fault("web process killed", kill_web_process),
    Fault("gunicorn's master killed", kill_gunicorn),
    Fault("serve killed, started again", kill_serve, 2),
    Fault("all processes killed at once, started again", kill_all, 2),
    Fault("SIGTERM thrice to all at once, started again", end_all, 2),
)
