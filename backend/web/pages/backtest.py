"""What the last backtest left, for the pages."""

from __future__ import annotations

from backend.web.pages import wording
from backend.web.pages.contexts import Backtest
from backend.web.pages.progress import percent_done
from model_store import phases
from model_store.journal import ProjectState
from model_store.project_folder import PICTURE_NAME, REPORT_NAME, ProjectFolder


def backtest_of(folder: ProjectFolder, state: ProjectState) -> Backtest:
    """The backtest that was asked for, and what the last one said."""
    words = {phases.REQUESTED: "About to begin", phases.RUNNING: "Running"}
    return Backtest(
        now=words.get(state.backtest, ""),
        percent=percent_done(state.backtest_done, state.backtest_total),
        error=state.backtest_error or "",
        ended=wording.moment(state.backtest_at),
        report=_report(folder),
        has_picture=(folder.backtest / PICTURE_NAME).is_file(),
    )


def verdict(folder: ProjectFolder, strategy: str) -> str:
    """The sentence about a strategy, with the labels saved; "" where it was never replayed."""
    lines = _report(folder).splitlines()
    return next((line for line in lines if line.startswith(f"{strategy}: ")), "")


def _report(folder: ProjectFolder) -> str:
    try:
        return (folder.backtest / REPORT_NAME).read_text(errors="replace")
    except OSError:
        return ""
