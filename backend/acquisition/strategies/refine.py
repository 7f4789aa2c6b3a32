"""refine: several strategies thin the pool out together, and uherding chooses from what is left.

Idea. No strategy is best everywhere, but what all leave out again and again is worth little. Each
picks batches from random parts of the pool; what nobody picked goes; that is repeated on what was
picked, and the last choice is made by coverage, among rows that are valuable for some reason.
Source. Huseljic, Herde, Rauch, Hahn and Sick, "Cleaning the Pool: Progressive Filtering of
Unlabeled Pools in Deep Active Learning", CVPR 2026, arXiv 2511.22344 (its name there: Refine).
Cost. `depth` times `batches` picks from at most `part` rows each, then uherding on what is left: a
minute and more where a pool is large, in which a worker does nothing for other projects.
Needs. A head, labels of two classes.
Deviations. The first parts hold at most `share` of the pool too: where they held all of it,
strategies without chance would pick the same batch each time. The herding strategies are those of
their papers; in the authors' toolbox a row's gain is what it lacks itself (docs/acquisition.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from backend.acquisition.alfa_mix import strategy as alfa_mix
from backend.acquisition.alfa_mix.strategy import head_of_two_classes
from backend.acquisition.contract import Picks, Pool
from backend.acquisition.strategies import (
    badge,
    bait,
    dropquery,
    maxherding,
    random_rows,
    typiclust,
    uherding,
    uncertainty,
)
from backend.errors import AcquisitionError

ENSEMBLE: Mapping[str, Callable[..., Picks]] = {
    "random": random_rows.pick,
    "margin": uncertainty.pick_margin,
    "badge": badge.pick,
    "bait": bait.pick,
    "typiclust": typiclust.pick,
    "alfa-mix": alfa_mix.pick,
    "dropquery": dropquery.pick,
    "maxherding": maxherding.pick,
    "uherding": uherding.pick,
}


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    depth: int = 5,
    batches: int = 100,
    share: float = 0.4,
    part: int = 5_000,
) -> Picks:
    """What uherding picks of the rows that are left; `batches` are shared out equally."""
    head_of_two_classes(pool, "refine")
    if depth < 0:
        raise AcquisitionError(f"depth must be at least 0; found {depth}")
    if batches < len(ENSEMBLE):
        raise AcquisitionError(f"batches must be at least {len(ENSEMBLE)}; found {batches}")
    if not 0 < share <= 1:
        raise AcquisitionError(f"share must be above 0, and at most 1; found {share}")
    if part < 1:
        raise AcquisitionError(f"part must be at least 1; found {part}")
    left = np.arange(len(pool.ids))
    for _ in range(depth):
        size = min(len(left), max(budget, min(part, int(share * len(left)))))
        left = picked_by_any(pool, left, size, budget, generator, batches // len(ENSEMBLE))
    picks = uherding.pick(part_of(pool, left), budget, generator)
    # Those that went follow those that are left.
    return replace(picks, rows=left[picks.rows], eligible=left).with_statistics(n_left=len(left))


def picked_by_any(
    pool: Pool,
    rows: np.ndarray,
    size: int,
    budget: int,
    generator: np.random.Generator,
    batches: int,
) -> np.ndarray:
    """The `(M,)` rows, ascending, that a strategy picks from one of its `batches` parts of `rows`.

    Each part is a uniform sample of `size` rows.
    """
    picked = []
    for pick_batch in ENSEMBLE.values():
        for _ in range(batches):
            drawn = np.sort(generator.choice(rows, size, replace=False))
            picked.append(drawn[pick_batch(part_of(pool, drawn), budget, generator).rows])
    return np.unique(np.concatenate(picked))


def part_of(pool: Pool, rows: np.ndarray) -> Pool:
    """The same labels and head, with some rows of the pool."""
    return replace(pool, embeddings=pool.embeddings[rows], ids=pool.ids[rows])
