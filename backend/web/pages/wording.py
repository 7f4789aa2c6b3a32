"""Phases, times and reasons, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from model_store import phases

PHASES = {
    phases.WAITING: "Waiting to begin",
    phases.SYNC: "Reading the tasks",
    phases.RECALL: "Reading the queue back",
    phases.SELECT: "Choosing what to label next",
    phases.PUBLISH: "Publishing the batch",
    phases.FLIP: "Handing the batch over",
    phases.ANNOTATE: "People label",
    phases.POOL_EMPTY: "Nothing is left to label",
    phases.DISCONNECTED: "Disconnected",
    phases.TRAIN: "Fine-tuning the network",
    phases.EMBED: "Embedding the images",
    phases.DONE: "Done",
}


def phase_words(phase: str) -> str:
    """A phase as people read it."""
    return PHASES.get(phase, phase.replace("-", " ").capitalize())


def duration(seconds: float | None) -> str:
    """Seconds as people say them; "" for unknown."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def exact_seconds(seconds: float) -> str:
    """Measured seconds, to two digits or so."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def moment(at: float | None) -> str:
    """A time of the journal."""
    return "" if not at else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def percent(share: float) -> str:
    """A share; never 100 % or 0 % where it is not."""
    if 0.995 <= share < 1:
        return ">99 %"
    if 0 < share < 0.005:
        return "<1 %"
    return f"{100 * share:.0f} %"


def pairs(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values to be read in a table, flat."""
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += [(f"{name} {inner}", text) for inner, text in pairs(value)]
        elif isinstance(value, float):
            found.append((name.replace("_", " "), f"{value:.4g}"))
        elif value is not None:
            found.append((name.replace("_", " "), str(value)))
    return found


def task_state(state: str, label: str | None) -> str:
    """What became of a task; its label follows."""
    if state == "labeled":
        return "labeled:" if label else "labeled"
    return "skipped" if state == "skipped" else "to label"


DRAWN = "Drawn at random, to measure the model; labeled without a hint."
ASKED = "You asked for it to come first."


def mixing_reason(
    epsilon: float, predicted: str, flips_to: str, anchor: str | None, is_candidate: bool
) -> str:
    """How uncertain ALFA-Mix takes it for: the least mix that turns the prediction."""
    if not math.isfinite(epsilon) or flips_to == predicted:
        return "No mix with another class turns its prediction: the model is sure of it."
    what = f"the mean image of \u2068{anchor}\u2069" if anchor else "another class"
    return (
        f"Mixed with {percent(epsilon)} of {what}, its prediction turns to "
        f"\u2068{flips_to}\u2069{': it lies near the border' if is_candidate else ''}."
    )


def cluster_reason(size: int) -> str:
    """What it stands for."""
    if size <= 1:
        return "Nothing else in the pool is like it."
    return f"Stands for {size:,} images of the pool that are most like it."


def put_first(waiting: int, chosen: int) -> str:
    """What came of putting tasks first."""
    if not waiting:
        return f"Of {chosen:,} chosen none waits for a label: the queue stays as it is."
    what = (
        "waits for a label and comes first" if waiting == 1 else "wait for a label and come first"
    )
    return f"{waiting:,} of {chosen:,} chosen {what}."
