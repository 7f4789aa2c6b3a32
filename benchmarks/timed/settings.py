"""What is replayed with a clock: one entry a setting, and the ways compared in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.timed.clock import Measured, Policy, Times, Tuning

LOOKAHEADS = (0.5, 0.75, 0.9, 1.0)
DEFAULT = "lookahead 0.9"
WAITING = "waiting for all"
HEAD_ONLY = "head only"
TWO_SPEEDS = "two speeds"
OLD_WAITING = "blocks in the round, all wait"
OLD_RESERVE = "blocks in the round, reserve"
TWO_SPEEDS_LATER = "two speeds, first tuning after a batch"
# Three people, two seconds a label: 1.5 labels a second.
CREW = Times(people=3, label_s=2.0, round_s=3.0)
CIFAR: dict[str, Any] = {"backbone": "vit_small_patch14_dinov2", "image_px": 112, "test": 1000}
# Of the bundled ViT's last two blocks and 4,000 images at 28 px, on one thread of a busy machine.
MEASURED_TUNING: dict[str, Any] = {"tuning_s": 0.3, "tuning_s_a_label": 0.038}
# Of a ViT-S and 6,000 images: train 33 s, embed 37 s.
SLOW_TUNING: dict[str, Any] = {"tuning_s": 70.0}


@dataclass(frozen=True)
class Setting:
    """One data set, network, budget and pace.

    finetune: what the session trains, `head` or `blocks:2`.
    pool, test: so many images are drawn; None for all.
    policies: the ways compared, by name. references: those that the others are held against.
    """

    name: str
    data: str
    finetune: str
    budget: int
    times: Times
    measured: Measured
    policies: Mapping[str, Policy]
    references: tuple[str, ...]
    seeds: int
    pool: int | None = 2000
    test: int | None = 2000
    backbone: str = "bundled"
    image_px: int | None = None


def lookahead_setting(
    title: str, data: str, budget: int, round_s: float, labels: int, seeds: int, **images: Any
) -> Setting:
    """ALFAMIX_LOOKAHEAD on frozen features, `labels` in all, measured after every batch."""
    policies = {f"lookahead {share:g}": Policy(lookahead=share) for share in LOOKAHEADS}
    return Setting(
        f"{title}, batch {budget}, round {round_s:g} s",
        data,
        "head",
        budget,
        replace(CREW, round_s=round_s),
        Measured(tuple(range(budget, labels + 1, budget))),
        policies | {WAITING: Policy(waits=True)},
        (DEFAULT, WAITING),
        seeds,
        **images,
    )


def two_speeds_setting(
    title: str, data: str, budget: int, labels: int, times: Times, seeds: int, **images: Any
) -> Setting:
    """When the last two blocks are fine-tuned: never, before the flip, or behind the queue."""
    counts = tuple(range(budget, labels + 1, budget))
    spots = tuple(count for count in counts if count // budget in (1, 2, 4, 8))
    share = 0.9
    policies = {
        HEAD_ONLY: Policy(share),
        OLD_WAITING: Policy(1.0, waits=True, tuning=Tuning.IN_ROUND),
        OLD_RESERVE: Policy(share, tuning=Tuning.IN_ROUND),
        TWO_SPEEDS: Policy(share, tuning=Tuning.BEHIND),
        TWO_SPEEDS_LATER: Policy(share, tuning=Tuning.BEHIND, is_eager=False),
    }
    seconds = tuple(times.until(count) for count in spots)
    measured = Measured(counts, seconds)
    references = (HEAD_ONLY, OLD_WAITING, OLD_RESERVE)
    return Setting(
        title, data, "blocks:2", budget, times, measured, policies, references, seeds, **images
    )


def _lookahead_settings() -> Iterator[Setting]:
    for title, data, seeds, images in (
        ("Fashion-MNIST", "fashion-mnist", 10, {}),
        ("digits", "digits", 10, {"pool": None, "test": None}),
        ("CIFAR-10 ViT-S", "cifar10", 5, CIFAR),
    ):
        for budget, labels in ((100, 800), (20, 300)):
            for round_s in (3.0, 60.0):
                yield lookahead_setting(title, data, budget, round_s, labels, seeds, **images)


def _two_speeds_settings() -> Iterator[Setting]:
    one = Times(people=1, label_s=2.0, round_s=3.0)
    for title, crew, tuning in (
        ("three people, tuning as measured", CREW, MEASURED_TUNING),
        ("three people, tuning 70 s", CREW, SLOW_TUNING),
        ("one person, tuning 70 s", one, SLOW_TUNING),
    ):
        times = replace(crew, **tuning)
        yield two_speeds_setting(f"two speeds: {title}", "fashion-mnist", 50, 400, times, 5)


ALL: tuple[Setting, ...] = (*_two_speeds_settings(), *_lookahead_settings())
QUICK: tuple[Setting, ...] = (
    two_speeds_setting(
        "quick: two speeds", "digits", 10, 40, replace(CREW, tuning_s=5.0), 2, pool=300, test=200
    ),
    lookahead_setting("quick: digits", "digits", 20, 3.0, 100, 2, pool=300, test=200),
)
