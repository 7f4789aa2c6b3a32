"""The results in a few sentences: where ALFA-Mix and the default win, tie and lose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.curves.penalty import cells
from benchmarks.curves.tables import RANDOM, Curves, with_all
from benchmarks.curves.verdicts import PAPER_BASELINES, counted, gain_over_all, label_share

ALFA, AUTO = "alfa-mix", "auto"
RIVAL = "uherding"  # the strongest of the others


def in_short(curves: Sequence[Curves], duel: Sequence[Curves] = ()) -> Iterator[str]:
    """The section's lines; of strategies that were not run it says nothing.

    duel: the same settings with all seeds that `auto` and its rival have.
    """
    yield "## In short"
    yield ""
    for strategy, opponent in ((ALFA, RANDOM), (AUTO, RANDOM), (AUTO, ALFA)):
        if both := with_all(curves, strategy, opponent):
            yield f"- {_against(both, strategy, opponent)}"
    for strategy in (ALFA, AUTO):
        if found := with_all(curves, strategy):
            yield f"- {_labels(found, strategy)}"
    yield from _cells(curves, ALFA, PAPER_BASELINES, "the paper's eight baselines", "at most 1 %")
    everything = list(dict.fromkeys(name for found in curves for name in found.accuracy))
    yield from _cells(curves, AUTO, everything, "everything in the registry", "none")
    yield from _cells(curves, ALFA, everything, "everything in the registry", "")
    for strategy in (AUTO, ALFA):
        if found := with_all(curves, strategy):
            beaten = _beaten(found, strategy, everything)
            yield f"- `{strategy}` is beaten over a whole setting (mean accuracy) by: {beaten}."
    if with_all(duel, AUTO, RIVAL):
        yield f"- {_over_all(duel)}"
    yield ""


def _over_all(duel: Sequence[Curves]) -> str:
    both = with_all(duel, AUTO, RIVAL)
    found = gain_over_all(both, AUTO, RIVAL)
    mean, low, high = (100 * part for part in (found.mean, found.low, found.high))
    return (
        f"`{AUTO}` against `{RIVAL}` over all {len(both)} settings together, paired over the "
        f"{sum(one.seeds for one in both)} seeds that both have: {mean:+.2f} points of mean "
        f"accuracy [{low:+.2f}, {high:+.2f}]."
    )


def _against(curves: Sequence[Curves], strategy: str, opponent: str) -> str:
    found = counted(curves, strategy, opponent)
    text = (
        f"`{strategy}` against `{opponent}`: wins in {len(found['wins'])} of {len(curves)} "
        f"settings, ties in {len(found['ties'])}, loses in {len(found['loses'])}"
    )
    losses = "; ".join(found["loses"])
    return text + (f" ({losses})." if losses else ".")


def _labels(curves: Sequence[Curves], strategy: str) -> str:
    """The labels for random's last accuracy; a setting where it is never reached counts as inf."""
    found = [label_share(one, strategy, 1.0) for one in curves]
    shares = [np.inf if share is None else share for share in found]
    reached = [share for share in shares if share < np.inf]
    never = len(shares) - len(reached)
    if not reached:
        return f"`{strategy}` reaches the accuracy that random ends with in no setting."
    median = float(np.median(shares))
    return (
        f"`{strategy}` reaches the accuracy that random ends with on "
        f"{'more than all' if median == np.inf else whole_percent(median)} of random's labels "
        f"(median of {len(shares)} settings; {whole_percent(min(reached))} to "
        f"{whole_percent(max(reached))}"
        f"{f', in {never} never' if never else ''}; from mean curves, without an interval)."
    )


def _cells(
    curves: Sequence[Curves], strategy: str, opponents: Sequence[str], named: str, goal: str
) -> Iterator[str]:
    counts = cells(curves, strategy, opponents)
    if counts.total:
        yield (
            f"- `{strategy}` against {named}, by setting, opponent and round: significantly beaten "
            f"in {counts.lost} of {counts.total} cells ({percent(counts.lost, counts.total)}"
            f"{f'; goal: {goal}' if goal else ''}; by chance, were all equal, 2.5 %), ahead in "
            f"{counts.won} ({percent(counts.won, counts.total)})."
        )


def _beaten(curves: Sequence[Curves], strategy: str, opponents: Sequence[str]) -> str:
    losses = {name: counted(curves, strategy, name)["loses"] for name in opponents}
    parts = [f"{name} ({'; '.join(lost)})" for name, lost in losses.items() if lost]
    return ", ".join(parts) or "nothing"


def percent(part: int, total: int) -> str:
    """A share in percent, with a digit."""
    return f"{100 * part / total:.1f} %"


def whole_percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"
