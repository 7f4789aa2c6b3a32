"""D^2 sampling: BADGE's batch and the seeds of k-means.

`d2_sample`: each next row is drawn with probability proportional to its squared distance to the
nearest row drawn so far (Arthur and Vassilvitskii, SODA 2007, Section 2.2). Updating all distances
after each draw is bound by memory; here they are updated for many draws at once. In between the
known distances are upper bounds, so drawing from them and keeping a row with probability
true / known distance is the same distribution, exactly.

`greedy_seeds`: the variant for k-means that draws several rows each time and keeps the one that
lowers the sum of distances most.

Shapes: n rows, D columns, k seeds, t trials.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.distances import ProductSpace, Space, lower_to_nearest

DRAWS_PER_UPDATE = 64


def d2_sample(space: Space, count: int, first: int, generator: np.random.Generator) -> np.ndarray:
    """Return up to `count` distinct rows, `first` and then by D^2 sampling.

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
    """Return at least one new row, at most `wanted`; fewer once half of the draws are refused.

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
    """Return `(k',)` rows of `points (n, D)` by greedy k-means++; k' < k where rows repeat.

    2 + log k trials a step, as scikit-learn's.
    """
    trials = 2 + int(np.log(k))
    space = ProductSpace.euclidean(points)
    every = slice(0, len(points))
    seeds = [int(generator.integers(len(points)))]
    nearest = space.squared_distances(every, torch.tensor(seeds))[:, 0]
    nearest[seeds] = 0
    while len(seeds) < k:
        ends = np.cumsum(nearest.numpy(), dtype=np.float64)
        if ends[-1] == 0:
            break
        draws = np.searchsorted(ends, generator.random(trials) * ends[-1], side="right")
        rows = torch.from_numpy(np.minimum(draws, len(points) - 1))
        tried = torch.minimum(space.squared_distances(every, rows), nearest[:, None])
        best = int(tried.sum(0).argmin())
        seeds.append(int(rows[best]))
        nearest = tried[:, best].contiguous()
        nearest[seeds[-1]] = 0
    return np.unique(seeds)
