"""Every strategy by name, and the one way to call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from backend.acquisition.alfa_mix import strategy as alfa_mix
from backend.acquisition.contract import Picks, Pool, Selection
from backend.acquisition.reserve import reserve_of
from backend.acquisition.strategies import (
    auto,
    badge,
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
    typiclust,
    uherding,
    uncertainty,
)
from backend.acquisition.validation import check_budget, check_options, check_pool, options_of
from backend.errors import AcquisitionError

Pick = Callable[..., Picks]  # (pool, budget, generator, *, options...) -> Picks


def _strategies() -> dict[str, Pick]:
    return {
        "auto": auto.pick,
        "alfa-mix": alfa_mix.pick,
        "alfa-mix-exact": partial(alfa_mix.pick, alpha="exact"),
        "alfa-mix-learned": partial(alfa_mix.pick, alpha="learned"),
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
        "uherding": uherding.pick,
        # Need no labels: for a first batch.
        "maxherding": maxherding.pick,
        "kmeans-centers": kmeans_centers.pick,
        "typiclust": typiclust.pick,
        "probcover": probcover.pick,
    }


def strategy_names() -> tuple[str, ...]:
    """Return the names that `select` knows, the default first."""
    return tuple(_strategies())


def option_names(strategy: str) -> tuple[str, ...]:
    """Return the options that a strategy has. AcquisitionError: there is no such strategy."""
    return options_of(_find(strategy))


def select(
    strategy: str,
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    reserve: int = 0,
    options: Mapping | None = None,
) -> Selection:
    """Return the rows to label next, ranked, with their clusters and a reserve.

    An empty pool gives an empty selection; a budget above the pool selects all of it, ranked.
    The inputs are not changed, and the same inputs and generator state give the same answer.

    Raises:
        AcquisitionError: an unknown strategy or option, a budget below 1, arrays that disagree or
            are not finite, or something that the strategy needs and the pool lacks.
    """
    options = dict(options or {})
    pick = _find(strategy)
    check_options(strategy, pick, options)
    check_budget(budget, reserve)
    check_pool(pool)
    if len(pool.ids) == 0:
        return _empty(strategy)
    picks = pick(pool, min(budget, len(pool.ids)), generator, **options)
    reserve_rows, reserve_clusters = reserve_of(pool, picks, reserve)
    return Selection(
        rows=picks.rows,
        clusters=np.arange(len(picks.rows)),
        reserve_rows=reserve_rows,
        reserve_clusters=reserve_clusters,
        statistics={"strategy": strategy, **picks.statistics},
        informativeness=picks.informativeness,
    )


def _find(strategy: str) -> Pick:
    strategies = _strategies()
    if strategy not in strategies:
        raise AcquisitionError(f"unknown strategy {strategy!r}; known are {', '.join(strategies)}")
    return strategies[strategy]


def _empty(strategy: str) -> Selection:
    none = np.empty(0, dtype=np.int64)
    return Selection(none, none, none, none, {"strategy": strategy}, None)
