"""Runs the backtest that an admin asked for, as a process of its own that gives way to all others.

It reads what it needs from Label Studio, as the command does, and leaves its results in the
project's folder, in the place of the last one's. One that was interrupted begins again.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from backend.errors import AlfaMixError
from backend.loop.context import WorkerContext
from backend.process.leash import leashed
from backend.process.niceness import LEAST
from backend.settings import Settings
from model_store import phases
from model_store.journal import ProjectState
from model_store.project_folder import ROWS_NAME, ProjectFolder, host_folder

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# Of what a process has to end when it is told to.
GRACE_S = 3.0
TOTAL_FILE = "rounds.total"


def run(worker: WorkerContext, state: ProjectState, should_stop: Callable[[], bool]) -> None:
    """Run the backtest that a project's admin asked for. Errors end in the journal."""
    settings = worker.settings
    host = host_folder(settings.model_dir, settings.label_studio_url)
    folder = ProjectFolder(host / state.key).backtest
    begun = folder.with_name(".writing-backtest")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    worker.journal.update_project(
        state.key, backtest=phases.RUNNING, backtest_done=0, backtest_total=0, backtest_error=None
    )
    error = _replayed(worker, state, begun, should_stop)
    if should_stop():
        return
    if error is None:
        shutil.rmtree(folder, ignore_errors=True)
        begun.rename(folder)
    else:
        logger.warning("project %d: no backtest: %s", state.project_id, error)
        shutil.rmtree(begun, ignore_errors=True)
    at = worker.journal.now() if error is None else state.backtest_at
    worker.journal.update_project(state.key, backtest="", backtest_error=error, backtest_at=at)


def _replayed(
    worker: WorkerContext, state: ProjectState, out: Path, should_stop: Callable[[], bool]
) -> str | None:
    """Let the process replay into a folder; what it said where it failed."""
    said = out / "said.txt"
    try:
        environ = _environment(worker.settings, state)
    except AlfaMixError as error:
        return str(error)
    command = [sys.executable, "-m", "backend", "backtest", "--project", str(state.project_id)]
    with said.open("wb") as log:
        process = subprocess.Popen(
            leashed(["nice", "-n", str(LEAST), *command, "--out", str(out)], GRACE_S),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=environ,
            start_new_session=True,
        )
        try:
            while process.poll() is None and not should_stop():
                _note_progress(worker, state, out)
                time.sleep(LOOK_EVERY_S)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            status = process.wait()
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said.unlink()
    if status == 0:
        return None
    return lines[-1].rpartition("backtest: ")[2] if lines else f"it ended with status {status}"


def _environment(settings: Settings, state: ProjectState) -> Mapping[str, str]:
    """The worker's environment with what holds for this project. SettingsError."""
    settings.of_project(state.own_settings)
    own = {Settings.variable(name): text for name, text in state.own_settings.items()}
    token = settings.label_studio_api_key or state.access_token
    # One thread: the others are Label Studio's and the queue's.
    return os.environ | own | {"LABEL_STUDIO_API_KEY": token, "ALFAMIX_THREADS": "1"}


def _note_progress(worker: WorkerContext, state: ProjectState, out: Path) -> None:
    total, rows = out / TOTAL_FILE, out / ROWS_NAME
    if total.exists():
        with rows.open(encoding="utf-8") as lines:
            done = max(0, sum(1 for _ in lines) - 1)
        worker.journal.update_project(
            state.key, backtest_done=done, backtest_total=int(total.read_text() or 0)
        )
