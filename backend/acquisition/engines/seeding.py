"""D^2 sampling: BADGE's batch and the seeds of k-means.

`d2_sample`: each next row is drawn with probability proportional to its squared distance to the
nearest row drawn so far (Arthur and Vassilvitskii, SODA 2007, Section 2.2). Updating all distances
after each draw is bound by memory; here they are updated for many draws at once. In between the
known distances are upper bounds, so drawing from them and keeping a row with probability
true / known distance is the same distribution, exactly.

`greedy_seeds`: the variant for k-means that draws several rows each time and keeps the one that
lowers the sum of distances most.

Legend: n rows, D columns, k seeds, t trials.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.engines.distances import Space, lower_to_nearest

DRAWS_PER_UPDATE = 64
TRIALS = 4


def d2_sample(space: Space, count: int, first: int, generator: np.random.Generator) -> np.ndarray:
    """Up to `count` distinct rows, `first` and then by D^2 sampling.

    Fewer where all that is left coincides with rows already drawn.
    """
    nearest = torch.full((len(space),), torch.inf, dtype=torch.float64)
    drawn = [first]
    known = 0
    while len(drawn) < count:
        lower_to_nearest(space, nearest, torch.tensor(drawn[known:]))
        nearest[drawn] = 0
        known = len(drawn)
        if nearest.sum() == 0:
            break
        wanted = min(DRAWS_PER_UPDATE, count - known)
        drawn += _draw(space, nearest.numpy(), wanted, generator)
    return np.array(drawn)


def _draw(
    space: Space, upper: np.ndarray, wanted: int, generator: np.random.Generator
) -> list[int]:
    """At least one new row, at most `wanted`; fewer once half of the draws are refused.

    `upper (n,)` are the squared distances to all rows drawn before.
    """
    ends = np.cumsum(upper)
    drawn: list[int] = []
    refused = 0
    while len(drawn) < wanted and refused <= len(drawn) + 1:
        row = int(np.searchsorted(ends, generator.random() * ends[-1], side="right"))
        row = min(row, len(upper) - 1)
        if _keeps(space, row, upper[row], drawn, generator):
            drawn.append(row)
        else:
            refused += 1
    return drawn


def _keeps(
    space: Space, row: int, upper: float, drawn: list[int], generator: np.random.Generator
) -> bool:
    if upper == 0 or row in drawn:
        return False
    if not drawn:
        return True
    true = float(space.squared_distances(torch.tensor([row]), torch.tensor(drawn)).min())
    return generator.random() * upper < true


def greedy_seeds(points: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """`(k',)` rows of `points (n, D)` by greedy k-means++; k' < k where rows repeat."""
    rows = torch.as_tensor(points - points.mean(0))
    squares = rows.square().sum(1)
    noise = 8 * torch.finfo(rows.dtype).eps * squares  # copies of a seed are nearer than this
    seeds = [int(generator.integers(len(points)))]
    nearest = torch.full_like(squares, torch.inf)
    tried = torch.tensor(seeds)
    while True:
        squared = torch.addmm(squares, rows[tried], rows.T, alpha=-2).add_(squares[tried, None])
        after = torch.minimum(squared, nearest, out=squared)
        best = int(after.sum(1).argmin())
        nearest = after[best].masked_fill_(after[best] <= noise, 0)
        seeds.append(int(tried[best]))
        ends = np.cumsum(nearest.numpy(), dtype=np.float64)
        if len(seeds) > k or ends[-1] == 0:
            return np.unique(seeds)
        draws = np.searchsorted(ends, generator.random(TRIALS) * ends[-1], side="right")
        tried = torch.from_numpy(np.minimum(draws, len(points) - 1))
