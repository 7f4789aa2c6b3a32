"""How much better than the strategies one could choose: the section on the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.curves.in_short import AUTO, whole_percent
from benchmarks.curves.oracle import ORACLE, PROPOSERS
from benchmarks.curves.rows import Row
from benchmarks.curves.tables import RANDOM, Curves, curves_of, with_all


def without_oracle(rows: Sequence[Row]) -> list[Row]:
    """What is compared: the oracle's few seeds would leave the strategies only those."""
    return [row for row in rows if row.strategy != ORACLE]


def with_oracle(rows: Sequence[Row]) -> list[Curves]:
    """The settings that the oracle was run with, over its seeds. DataError: see `curves_of`."""
    settings = {row.setting for row in rows if row.strategy == ORACLE}
    return curves_of([row for row in rows if row.setting in settings])


def how_far(curves: Sequence[Curves]) -> Iterator[str]:
    """The section's lines, of the settings with the oracle and `auto`; none where there are none.

    curves: with the oracle's among them, over the seeds that it has.
    """
    found = with_all(curves, ORACLE, AUTO)
    if not found:
        return
    yield "## How far from the best"
    yield ""
    yield (
        f"An oracle that knows all labels (`{ORACLE}`, arXiv 2603.13109): in each round "
        f"{len(PROPOSERS)} strategies propose {sum(PROPOSERS.values())} batches from random parts "
        "of the pool, and the one after which most test images are told right is taken. It also "
        "takes what is right by luck with these test images, so that no strategy can reach it. "
        "Mean accuracies in % over the seeds that it was run with; the last column is `auto`'s "
        "share of the way from random to the oracle. It is part of no other comparison here."
    )
    yield ""
    yield "| setting | seeds | random | auto | best strategy | oracle | auto closes |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    yield from (_row(one) for one in found)
    yield ""


def _row(curves: Curves) -> str:
    mean = {name: curves.mean(name) for name in curves.accuracy}
    best = max((name for name in mean if name != ORACLE), key=mean.__getitem__)
    gap = mean[ORACLE] - mean[RANDOM]
    closed = whole_percent((mean[AUTO] - mean[RANDOM]) / gap) if gap > 0 else ""
    random, auto, most, oracle = (f"{100 * mean[n]:.1f}" for n in (RANDOM, AUTO, best, ORACLE))
    return (
        f"| {curves.setting} | {curves.seeds} | {random} | {auto} | {most} ({best}) | {oracle} | "
        f"{closed} |"
    )
