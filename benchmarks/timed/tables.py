"""What the rows say: means over seeds, and differences paired over seeds with 95 % intervals.

Legend: S seeds that all policies of a setting have finished, P points of an axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backend.replay import Interval, interval
from benchmarks.timed.clock import LABELS, SECONDS
from benchmarks.timed.rows import Row
from benchmarks.timed.settings import Setting


@dataclass(frozen=True, eq=False)
class Results:
    """A setting's rows as arrays, by policy, one row a common seed."""

    setting: Setting
    seeds: tuple[int, ...]
    accuracy: dict[tuple[str, str], np.ndarray]  # (policy, axis) -> (S, P)
    stale: dict[str, np.ndarray]  # (S,) share of stale labels at the last label count
    seconds: dict[str, np.ndarray]  # (S,) until the last label count
    tunings: dict[str, np.ndarray]  # (S,) networks taken over by then

    def gain(self, policy: str, reference: str, axis: str) -> Interval:
        """The paired difference of the mean accuracies over an axis, in points; S >= 2."""
        mine, theirs = (self.accuracy[name, axis].mean(axis=1) for name in (policy, reference))
        return interval(100 * (mine - theirs))


def results_of(setting: Setting, rows: Sequence[Row]) -> Results | None:
    """A setting's results; None with fewer than two seeds that all policies finished."""
    runs: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row.setting == setting.name:
            runs.setdefault((row.policy, row.seed), []).append(row)
    seeds = tuple(
        seed
        for seed in range(setting.seeds)
        if all((policy, seed) in runs for policy in setting.policies)
    )
    if len(seeds) < 2:
        return None
    by_policy = {name: [runs[name, seed] for seed in seeds] for name in setting.policies}
    last = {name: [_last(run) for run in found] for name, found in by_policy.items()}
    return Results(
        setting,
        seeds,
        {
            (name, axis): np.array([_accuracies(run, axis) for run in found])
            for name, found in by_policy.items()
            for axis in (LABELS, SECONDS)
        },
        {k: np.array([row.n_stale / row.n_labeled for row in found]) for k, found in last.items()},
        {k: np.array([row.seconds for row in found]) for k, found in last.items()},
        {k: np.array([row.n_tunings for row in found]) for k, found in last.items()},
    )


def _accuracies(run: Sequence[Row], axis: str) -> list[float]:
    points = sorted((row for row in run if row.axis == axis), key=lambda row: row.at)
    return [row.accuracy for row in points]


def _last(run: Sequence[Row]) -> Row:
    return max((row for row in run if row.axis == LABELS), key=lambda row: row.at)


def table(results: Results) -> Iterator[str]:
    """A Markdown table of one setting: for the curve over labels, and over time if measured."""
    setting = results.setting
    yield f"### {setting.name} ({len(results.seeds)} seeds)"
    yield ""
    yield from _axis_table(results, LABELS, setting.measured.at_labels)
    if setting.measured.at_seconds:
        yield ""
        yield from _axis_table(results, SECONDS, setting.measured.at_seconds)
    yield ""


def _axis_table(results: Results, axis: str, points: Sequence[float]) -> Iterator[str]:
    setting, shown = results.setting, _shown(points)
    unit = "labels" if axis == LABELS else "s"
    spots = [f"at {points[place]:.0f} {unit}" for place in shown]
    gains = [f"minus {name}" for name in setting.references]
    names = [f"at equal {axis}", *spots, "mean", *gains, "stale", "hours", "networks"]
    yield f"| {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * (len(names) - 1)}"
    for policy in setting.policies:
        accuracy = 100 * results.accuracy[policy, axis].mean(axis=0)
        cells = [f"{accuracy[place]:.1f}" for place in shown] + [f"{accuracy.mean():.2f}"]
        cells += [_cell(results, policy, name, axis) for name in setting.references]
        cells.append(f"{100 * results.stale[policy].mean():.0f} %")
        cells.append(f"{results.seconds[policy].mean() / 3600:.3f}")
        cells.append(f"{results.tunings[policy].mean():.1f}")
        yield f"| {policy} | {' | '.join(cells)} |"


def _cell(results: Results, policy: str, reference: str, axis: str) -> str:
    if policy == reference:
        return "–"
    found = results.gain(policy, reference, axis)
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _shown(points: Sequence[float]) -> list[int]:
    """Places of the first, second, fourth, eighth point: a curve in few columns."""
    return [place for place in (0, 1, 3, 7) if place < len(points)]
