"""What the last backtest left, for the pages."""

from __future__ import annotations

import csv
from statistics import fmean

from backend.web.pages.contexts import Backtest, CurvePoint
from model_store.project_folder import PICTURE_NAME, REPORT_NAME, ROWS_NAME, ProjectFolder


def backtest_of(folder: ProjectFolder, strategy: str) -> Backtest:
    """What the last backtest said."""
    return Backtest(
        verdict=verdict(folder, strategy),
        report=_report(folder),
        has_picture=(folder.backtest / PICTURE_NAME).is_file(),
    )


def verdict(folder: ProjectFolder, strategy: str) -> str:
    """The sentence about a strategy, with the labels saved; "" where it was never replayed."""
    lines = _report(folder).splitlines()
    return next((line for line in lines if line.startswith(f"{strategy}: ")), "")


def random_curve(folder: ProjectFolder) -> list[CurvePoint]:
    """What random choice reached in the last backtest; empty where none ran, or not with it.

    The mean over its runs, and from which to which of them.
    """
    found: dict[int, list[float]] = {}
    try:
        with (folder.backtest / ROWS_NAME).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["strategy"] == "random":
                    accuracy = 100 * float(row["accuracy"])
                    found.setdefault(int(row["n_labeled"]), []).append(accuracy)
    except (OSError, KeyError, TypeError, ValueError):
        return []
    return [
        CurvePoint(labels, *(round(part, 2) for part in (fmean(runs), min(runs), max(runs))))
        for labels, runs in sorted(found.items())
    ]


def _report(folder: ProjectFolder) -> str:
    try:
        return (folder.backtest / REPORT_NAME).read_text(errors="replace")
    except OSError:
        return ""
