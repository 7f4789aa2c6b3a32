"""A backend whose worker starts in tenths of a second, so that it can be killed very often.

Most of a worker's start is imports. Here a process that has them done is forked for each worker,
and what kills the worker starts it again: `serve` is not there. All else is what `serve` runs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from backend.harness.backend_process import START_TIMEOUT_S, Backend
from backend.harness.child import Child
from backend.loop import command
from backend.process.serve import web_command
from backend.process.supervisor import prepare
from backend.settings import Settings

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["backend.loop.command", "sklearn.linear_model"])


class ForkedBackend(Backend):
    """The web process, and a worker that is forked."""

    _worker: multiprocessing.process.BaseProcess | None = None

    def start(self, *, healthy: bool = True) -> Backend:
        """Both, started and answering."""
        settings = Settings.from_environ(self.env)
        prepare(settings)
        words = web_command(settings)
        self._child = Child.start("The web process", words, self.env, self._log_file)
        if healthy:
            self._child.wait_until_healthy(self.url, START_TIMEOUT_S)
        self.start_worker()
        return self

    def stop(self) -> None:
        """End both."""
        self.kill_worker()
        super().stop()

    def start_worker(self) -> None:
        """Start the worker."""
        arguments = (dict(self.env), self._log_file)
        self._worker = _FORKS.Process(target=_work, args=arguments, daemon=True)
        self._worker.start()

    def kill_worker(self) -> None:
        """Send SIGKILL to the worker; returns when it is gone."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.join()
            self._worker = None


def _end_with_the_starter() -> None:
    starter = multiprocessing.parent_process()
    assert starter is not None
    starter.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _work(env: Mapping[str, str], log_file: Path) -> None:
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    with log_file.open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(env)
    sys.exit(command.main([]))
