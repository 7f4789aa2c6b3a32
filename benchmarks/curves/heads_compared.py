"""What the head brings and what the strategy brings: labels for one accuracy, by both.

The same pools, first labels and test images stand behind each pair of settings, by seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.vision import ADAM
from backend.vision.heads import AUTO
from benchmarks.curves.in_short import whole_percent
from benchmarks.curves.settings import BY_ADAM
from benchmarks.curves.tables import RANDOM, Curves
from benchmarks.curves.verdicts import share_of_labels

LABEL_SHARES = "label-shares"  # the picture's name
# Whose labels are counted: head and strategy.
STEPS = ((ADAM, "alfa-mix"), (AUTO, RANDOM), (AUTO, "alfa-mix"), (AUTO, "auto"))


@dataclass(frozen=True, eq=False)
class Pair:
    """One setting with both heads."""

    adam: Curves
    auto: Curves

    @property
    def seeds(self) -> int:
        """How many both have."""
        return min(self.adam.seeds, self.auto.seeds)

    def label_share(self, head: str, strategy: str) -> float | None:
        """Labels for random's last accuracy with Adam's head, as a share of its labels.

        Of the mean curves. inf: never within the rounds; None: it was not run.
        """
        curves = self.adam if head == ADAM else self.auto
        if strategy not in curves.accuracy:
            return None
        randoms, mine = (
            accuracy[: self.seeds].mean(axis=0)
            for accuracy in (self.adam.accuracy[RANDOM], curves.accuracy[strategy])
        )
        found = share_of_labels(curves.n_labeled, mine, randoms, randoms[-1])
        return np.inf if found is None else found


def pairs_of(curves: Sequence[Curves], by_adam: Sequence[Curves]) -> list[Pair]:
    """The settings that were run with both heads."""
    adam = {found.setting.removesuffix(BY_ADAM): found for found in by_adam}
    return [Pair(adam[found.setting], found) for found in curves if found.setting in adam]


def shares_by_step(pairs: Sequence[Pair]) -> Mapping[tuple[str, str], list[float]]:
    """The label shares of all settings, by head and strategy."""
    found = {step: [pair.label_share(*step) for pair in pairs] for step in STEPS}
    return {step: [s for s in shares if s is not None] for step, shares in found.items()}


def heads_compared(pairs: Sequence[Pair]) -> Iterator[str]:
    """The section's lines; nothing where no setting was run with both heads."""
    if not pairs:
        return
    yield "## Head and strategy"
    yield ""
    yield (
        "Labels for the accuracy that `random` ends with where Adam's steps fit the head "
        "(`ALFAMIX_HEAD=adam`), as a share of its labels: first by a strategy alone, then by the "
        "head alone (`auto`: the one that held-out labels choose), then by both. From mean "
        "curves, without an interval; *never* within the rounds."
    )
    yield ""
    yield f"| setting | seeds | {' | '.join(f'`{name}`, {head}' for head, name in STEPS)} |"
    yield "| --- | --- |" + " --- |" * len(STEPS)
    for pair in pairs:
        cells = " | ".join(_cell(pair.label_share(*step)) for step in STEPS)
        yield f"| {pair.auto.setting} | {pair.seeds} | {cells} |"
    medians = [_cell(float(np.median(s))) if s else "" for s in shares_by_step(pairs).values()]
    yield f"| **median** | | {' | '.join(f'**{median}**' for median in medians)} |"
    yield ""


def headline(pairs: Sequence[Pair]) -> Iterator[str]:
    """The picture, and what it comes to; nothing where no setting was run with both heads."""
    if not pairs:
        return
    shares = shares_by_step(pairs)
    both = shares[AUTO, "auto"]
    yield f"![labels for the same accuracy]({LABEL_SHARES}.png)"
    yield ""
    if both:
        yield (
            f"**With the defaults, {_cell(float(np.median(both)))} of the labels** give the "
            "accuracy that random choice ends with where the head is fitted by Adam's steps "
            f"(median of {len(both)} settings)."
        )
        yield ""


def _cell(share: float | None) -> str:
    if share is None:
        return ""
    return "never" if share == np.inf else whole_percent(share)
