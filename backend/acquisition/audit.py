"""Rows drawn uniformly from the pool and mixed into the batch: what measures a head honestly.

What a strategy chooses is hard on purpose, so a head that is measured on it looks worse than it is,
and one measured on what it was fitted on, better. Rows drawn uniformly from all that is unlabeled,
and predicted before anybody labels them, give an unbiased accuracy on exactly that: the pool.

Legend: N pool rows, M ranked rows, A drawn rows, B budget.
"""

from __future__ import annotations

import math

import numpy as np


def audit_size(budget: int, share: float, generator: np.random.Generator) -> int:
    """A, how many of a batch's `budget` labels are drawn: on average exactly `share` of them."""
    expected = budget * share
    whole = math.floor(expected)
    return whole + int(generator.random() < expected - whole)


def mix_in(
    rows: np.ndarray, drawn: np.ndarray, within: int, generator: np.random.Generator
) -> np.ndarray:
    """`(M,)` ranked rows with the `(A,)` drawn ones at random places among the first `within`.

    The others keep their order. `drawn` are among `rows`; within: at least A, or M where fewer.
    """
    within = min(max(within, len(drawn)), len(rows))
    places = np.sort(generator.choice(within, size=len(drawn), replace=False))
    mixed = np.empty_like(rows)
    is_drawn = np.zeros(len(rows), dtype=bool)
    is_drawn[places] = True
    mixed[is_drawn] = generator.permutation(drawn)
    mixed[~is_drawn] = rows[~np.isin(rows, drawn)]
    return mixed
