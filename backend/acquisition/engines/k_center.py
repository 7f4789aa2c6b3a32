"""Greedy k-center (farthest first) on any space, at the speed of matrix products.

Distances to the nearest center only fall as centers are added, so a known distance is an upper
bound. Rows with the largest bounds form a group whose distances are kept exact; as long as the
farthest of the group is farther than every bound outside, it is the farthest of all. Only then are
the others updated, for many centers in one product. The picks are those of the plain loop.

Source: Gonzalez, Theoretical Computer Science 38, 1985; Sener and Savarese, ICLR 2018, Algorithm 1.
Legend: n rows of the space, N of them may be picked.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.engines.distances import Space, lower_to_nearest

GROUP_ROWS = 2048


def k_center(space: Space, covered: np.ndarray, budget: int, ids: np.ndarray) -> np.ndarray:
    """`(budget,)` of the first N = len(ids) rows, each the farthest from those before.

    `covered` are rows of the space that count as centers already; without any, the row with the
    smallest id is first. Ties go to the smallest id.
    """
    nearest = torch.full((len(ids),), torch.inf, dtype=torch.float64)
    picks = [] if len(covered) else [int(np.argmin(ids))]
    lower_to_nearest(space, nearest, torch.as_tensor(covered))
    known = 0
    while True:
        lower_to_nearest(space, nearest, torch.tensor(picks[known:], dtype=torch.int64))
        nearest[picks] = -1
        known = len(picks)
        if known == budget:
            return np.array(picks)
        picks += _pick_in_group(space, nearest, budget - known, ids)


def _pick_in_group(space: Space, nearest: Tensor, wanted: int, ids: np.ndarray) -> list[int]:
    top = nearest.topk(min(GROUP_ROWS, len(nearest)))
    bound = top.values[-1] if len(top.values) < len(nearest) else -1
    group = torch.tensor(sorted(top.indices.tolist(), key=ids.__getitem__))
    members = space.take(group)
    distance = nearest[group]
    picks: list[int] = []
    while len(picks) < wanted:
        farthest = int(distance.argmax())
        if picks and distance[farthest] <= bound:
            break
        picks.append(int(group[farthest]))
        lower_to_nearest(members, distance, torch.tensor([farthest]))
        distance[farthest] = -1
    return picks
