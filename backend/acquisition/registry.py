"""Every strategy by name, and the one way to call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from backend.acquisition.alfa_mix import strategy as alfa_mix
from backend.acquisition.contract import Picks, Pool, Selection
from backend.acquisition.strategies import (
    alfa_herding,
    auto,
    badge,
    bait,
    bald,
    cdal,
    core_set,
    deepfool,
    dropquery,
    gcnal,
    kmeans_centers,
    margin_kmeans,
    maxherding,
    probcover,
    random_rows,
    refine,
    tcm,
    typiclust,
    uherding,
    uncertainty,
)
from backend.acquisition.supply import rank_supply
from backend.acquisition.validation import check_options, check_pool, check_sizes, options_of
from backend.errors import AcquisitionError

Pick = Callable[..., Picks]  # (pool, budget, generator, *, options...) -> Picks


def _strategies() -> dict[str, Pick]:
    return {
        "auto": auto.pick,
        "alfa-mix": alfa_mix.pick,
        "alfa-mix-exact": partial(alfa_mix.pick, alpha="exact"),
        "alfa-mix-learned": partial(alfa_mix.pick, alpha="learned"),
        "alfa-herding": alfa_herding.pick,
        # The paper's baselines.
        "random": random_rows.pick,
        "entropy": uncertainty.pick_entropy,
        "bald": bald.pick,
        "core-set": core_set.pick,
        "deepfool": deepfool.pick,
        "gcnal": gcnal.pick,
        "badge": badge.pick,
        "cdal": cdal.pick,
        # In use since.
        "margin": uncertainty.pick_margin,
        "margin-kmeans": margin_kmeans.pick,
        "least-confidence": uncertainty.pick_least_confidence,
        "dropquery": dropquery.pick,
        "tcm": tcm.pick,
        "uherding": uherding.pick,
        "bait": bait.pick,
        "refine": refine.pick,
        # Need no labels: for a first batch.
        "maxherding": maxherding.pick,
        "kmeans-centers": kmeans_centers.pick,
        "typiclust": typiclust.pick,
        "probcover": probcover.pick,
    }


def strategy_names() -> tuple[str, ...]:
    """The names that `select` knows, the default first."""
    return tuple(_strategies())


def option_names(strategy: str) -> tuple[str, ...]:
    """The options that a strategy has. AcquisitionError: there is no such strategy."""
    return options_of(_find(strategy))


def select(
    strategy: str,
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    supply: int | None = None,
    options: Mapping | None = None,
) -> Selection:
    """The rows to label next, ranked, with their clusters: a batch, and the supply behind it.

    An empty pool gives an empty selection; a budget above the pool selects all of it, ranked.
    The inputs are not changed, and the same inputs and generator state give the same answer.

    Args:
        budget: B, the size of the batch.
        supply: how many rows beyond the batch are ranked; None for the whole pool. A smaller one
            gives the same ranking, only shorter; with 0 it costs nothing.
        options: of the strategy, by name.

    Raises:
        AcquisitionError: an unknown strategy or option, a budget below 1, arrays that disagree or
            are not finite, or something that the strategy needs and the pool lacks.
    """
    options = dict(options or {})
    pick = _find(strategy)
    check_options(strategy, pick, options)
    check_sizes(budget, supply)
    check_pool(pool)
    if len(pool.ids) == 0:
        return _empty(strategy)
    picks = pick(pool, min(budget, len(pool.ids)), generator, **options)
    batch_size = len(picks.rows)
    left = len(pool.ids) - batch_size
    rows, clusters = rank_supply(pool, picks, left if supply is None else min(supply, left))
    return Selection(
        rows=np.concatenate([picks.rows, rows]),
        clusters=np.concatenate([np.arange(batch_size), clusters]),
        batch_size=batch_size,
        statistics={"strategy": strategy, **picks.statistics},
        mixing=picks.mixing,
    )


def _find(strategy: str) -> Pick:
    strategies = _strategies()
    if strategy not in strategies:
        raise AcquisitionError(f"unknown strategy {strategy!r}; known are {', '.join(strategies)}")
    return strategies[strategy]


def _empty(strategy: str) -> Selection:
    none = np.empty(0, dtype=np.int64)
    return Selection(none, none, 0, {"strategy": strategy}, None)
