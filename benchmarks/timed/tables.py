"""What the rows say: means over seeds, and differences paired over seeds with 95 % intervals.

Legend: S seeds that all policies of a setting have finished, P points of an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from backend.replay import Interval, interval
from benchmarks.timed.clock import LABELS, SECONDS
from benchmarks.timed.rows import Row
from benchmarks.timed.settings import DEFAULT, WAITING, Setting


@dataclass(frozen=True, eq=False)
class Results:
    """A setting's rows as arrays, by policy, one row a common seed."""

    setting: Setting
    seeds: tuple[int, ...]
    accuracy: dict[tuple[str, str], np.ndarray]  # (policy, axis) -> (S, P)
    stale: dict[str, np.ndarray]  # (S,) share of stale labels at the last label count
    seconds: dict[str, np.ndarray]  # (S, P) until each label count
    tunings: dict[str, np.ndarray]  # (S,) networks taken over by then

    def gains(self, policy: str, reference: str, axis: str) -> np.ndarray:
        """(S,) paired differences of the mean accuracies over an axis, in points."""
        mine, theirs = (self.accuracy[name, axis].mean(axis=1) for name in (policy, reference))
        return 100 * (mine - theirs)

    def gain(self, policy: str, reference: str, axis: str) -> Interval:
        """The mean of `gains` and its interval; S >= 2."""
        return interval(self.gains(policy, reference, axis))

    def timely_gains(self, policy: str, reference: str) -> np.ndarray:
        """(S,) differences, in points, at the seconds of the policy's own label counts.

        The reference's accuracy between its points is on a straight line.
        """
        theirs = [
            np.interp(seconds, known, accuracy)
            for seconds, known, accuracy in zip(
                self.seconds[policy],
                self.seconds[reference],
                self.accuracy[reference, LABELS],
                strict=True,
            )
        ]
        return 100 * (self.accuracy[policy, LABELS] - np.array(theirs)).mean(axis=1)


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
            (name, axis): np.array([_of(run, axis, "accuracy") for run in found])
            for name, found in by_policy.items()
            for axis in (LABELS, SECONDS)
        },
        {k: np.array([row.n_stale / row.n_labeled for row in found]) for k, found in last.items()},
        {k: np.array([_of(run, LABELS, "seconds") for run in v]) for k, v in by_policy.items()},
        {k: np.array([row.n_tunings for row in found]) for k, found in last.items()},
    )


def pooled(results: Sequence[Results], gains: Callable[[Results], np.ndarray]) -> Interval:
    """(S,) gains over several settings: a sample is a data set's seed.

    A sample is the mean over the settings with these images: they are not independent.
    """
    samples: dict[tuple[str, int], list[float]] = {}
    for found in results:
        for seed, gain in zip(found.seeds, gains(found), strict=True):
            samples.setdefault((found.setting.data, seed), []).append(gain)
    return interval(np.array([np.mean(gains) for gains in samples.values()]))


def _of(run: Sequence[Row], axis: str, name: str) -> list[float]:
    points = sorted((row for row in run if row.axis == axis), key=lambda row: row.at)
    return [getattr(row, name) for row in points]


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


def pooled_table(results: Sequence[Results]) -> Iterator[str]:
    """A Markdown table of lookaheads over all settings with them, by how long a round takes."""
    found = [one for one in results if DEFAULT in one.setting.policies]
    if not found:
        return
    names = [name for name in found[0].setting.policies if name != DEFAULT]
    heads = [f"{name} at equal labels" for name in names] + [f"{WAITING} at equal hours"]
    yield f"### All settings together, minus {DEFAULT}"
    yield ""
    yield f"| round | seeds | {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * (len(heads) + 1)}"
    for round_s in sorted({one.setting.times.round_s for one in found}):
        part = [one for one in found if one.setting.times.round_s == round_s]
        yield _pooled_line(f"{round_s:g} s", part, names)
    yield _pooled_line("all", found, names)
    yield ""


def _pooled_line(title: str, results: Sequence[Results], names: Sequence[str]) -> str:
    seeds = {(found.setting.data, seed) for found in results for seed in found.seeds}
    gains = [
        pooled(results, partial(Results.gains, policy=name, reference=DEFAULT, axis=LABELS))
        for name in names
    ]
    late = pooled(results, lambda found: -found.timely_gains(DEFAULT, WAITING))
    cells = [title, str(len(seeds)), *(_text(gain) for gain in (*gains, late))]
    return f"| {' | '.join(cells)} |"


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
        cells.append(f"{results.seconds[policy][:, -1].mean() / 3600:.3f}")
        cells.append(f"{results.tunings[policy].mean():.1f}")
        yield f"| {policy} | {' | '.join(cells)} |"


def _cell(results: Results, policy: str, reference: str, axis: str) -> str:
    if policy == reference:
        return "–"
    return _text(results.gain(policy, reference, axis))


def _text(found: Interval) -> str:
    return f"{found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"


def _shown(points: Sequence[float]) -> list[int]:
    """Places of all of few points, else the first, second, fourth, eighth: a curve in four."""
    places = range(len(points)) if len(points) <= 4 else (0, 1, 3, 7)
    return [place for place in places if place < len(points)]
