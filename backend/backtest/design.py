"""What is replayed: how many images are held out, and how many labels are revealed when.

Legend: L labeled images, N of them in the pool, T held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from backend.acquisition import strategy_names
from backend.backtest.labels import LabeledProject
from backend.errors import BacktestError
from backend.replay import Plan
from backend.settings import Settings

RANDOM = "random"
COMPARED = ("alfa-mix", "margin", "kmeans-centers", RANDOM)
TEST_SHARE = 0.3
MINIMUM_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of the labeled images: those whose labels are hidden, and those that measure."""

    pool: np.ndarray  # (N,) int64
    test: np.ndarray  # (T,) int64


def split(labels: np.ndarray, seed: int) -> Split:
    """A random split in which both parts have the classes in proportion.

    (L,) labels, five or more of each class: then each has one or more held out.
    """
    pool, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=seed
    )
    return Split(pool, test)


def plan(pool_size: int, budget: int, *, most_rounds: int, shares_first: bool = True) -> Plan:
    """First labels and rounds of `budget`, or of less where five rounds would not fit.

    Rounds end while two budgets or more are left to choose from: where everything is chosen in the
    end, no strategy differs from another.

    Args:
        most_rounds: after the first batch, also where more would fit.
        shares_first: one random first batch for all strategies; otherwise the first batch is one
            more round, which each strategy's cold start chooses.
    """
    budget = max(1, min(budget, pool_size // (MINIMUM_ROUNDS + 2)))
    rounds = min(most_rounds, pool_size // budget - 2)
    if shares_first:
        return Plan(first=budget, budget=budget, rounds=rounds)
    return Plan(first=0, budget=budget, rounds=rounds + 1)


@dataclass(frozen=True)
class Design:
    """All that is decided before the first round."""

    plan: Plan
    wanted_budget: int
    pool_size: int
    test_size: int
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many trainings it takes."""
        a_run = self.plan.rounds + (1 if self.plan.first else 0)
        return a_run * len(self.strategies) * len(self.seeds)


def chosen_strategies(asked: Sequence[str], own: str) -> tuple[str, ...]:
    """The strategies to replay: those asked for, or the project's own and three others.

    Random is always among them, as what the others are compared with.
    BacktestError: an unknown name, or random alone.
    """
    strategies = tuple(dict.fromkeys([*(asked or (own, *COMPARED)), RANDOM]))
    unknown = [name for name in strategies if name not in strategy_names()]
    if unknown:
        raise BacktestError(
            f"unknown strategy {', '.join(unknown)}; known are {', '.join(strategy_names())}"
        )
    if strategies == (RANDOM,):
        raise BacktestError("found no strategy but random; needed is one to compare with it")
    return strategies


def design(
    project: LabeledProject,
    settings: Settings,
    strategies: tuple[str, ...],
    *,
    seed_count: int,
    most_rounds: int,
    shares_first: bool,
) -> Design:
    """The design for a project: its own budget where that leaves enough rounds."""
    wanted = settings.labels_a_round(len(project.classes))
    sizes = split(project.labels, settings.seed)
    return Design(
        plan=plan(len(sizes.pool), wanted, most_rounds=most_rounds, shares_first=shares_first),
        wanted_budget=wanted,
        pool_size=len(sizes.pool),
        test_size=len(sizes.test),
        strategies=strategies,
        seeds=tuple(range(settings.seed, settings.seed + seed_count)),
    )
