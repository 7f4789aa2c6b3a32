"""probcover: greedy cover of the pool with balls of one radius.

Idea. Two rows within a small distance mostly share a class, so a labeled row speaks for its ball.
Label the row whose ball holds most rows not yet covered, again and again. The radius is the
largest at which at least 95 % of the balls are pure under k-means pseudo-labels.
Source. Yehuda et al., "Active Learning Through a Covering Lens", NeurIPS 2022, Algorithm 1 and
Section 3.3 (radius).
Cost. M^2 D once, then lazily; M = min(N, `considered`). Needs. Embeddings only.
Deviations. Purity is measured on at most 2,000 rows; above `considered` rows a uniform sample
stands for the pool, as in maxherding. Pseudo-labels are k-means with K clusters.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.coverage import top_hat
from backend.acquisition.engines.distances import squared_distances
from backend.acquisition.engines.kmeans import kmeans
from backend.acquisition.strategies.maxherding import CONSIDERED, considered_rows, herd
from backend.errors import AcquisitionError

PURITY = 0.95
PURITY_ROWS = 2_000


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    radius: float | None = None,
    considered: int = CONSIDERED,
) -> Picks:
    """The greedy picks; `radius` on unit-length embeddings, None to estimate it."""
    rows = considered_rows(pool, budget, considered, generator)
    if radius is None:
        radius = pure_radius(unit_rows(pool.embeddings, rows), pool.num_classes, generator)
    if not radius >= 0:
        raise AcquisitionError(f"radius must be at least 0; found {radius}")
    picks = herd(pool, rows, budget, top_hat(radius), np.ones(len(rows)))
    return picks.with_statistics(radius=radius)


def pure_radius(points: np.ndarray, clusters: int, generator: np.random.Generator) -> float:
    """The largest radius at which 95 % of the balls hold a single k-means cluster.

    A ball is pure up to the distance of the nearest point of another cluster, so the radius is the
    5 % quantile of those distances.
    """
    if len(points) > PURITY_ROWS:
        points = points[generator.choice(len(points), size=PURITY_ROWS, replace=False)]
    label = torch.from_numpy(kmeans(points, min(clusters, len(points)), generator).nearest.center)
    tensor = torch.from_numpy(points)
    squared = squared_distances(tensor, tensor)
    other = squared.masked_fill(label[:, None] == label, torch.inf).amin(1).sqrt()
    if torch.isinf(other).any():  # one cluster: every ball is pure
        return float(squared.max().sqrt())
    return float(np.quantile(other.numpy(), 1 - PURITY, method="lower"))
