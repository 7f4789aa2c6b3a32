"""uherding: greedy coverage of the pool in which covering a doubtful row is worth more.

Idea. Like maxherding, but each row's coverage is weighted by the head's doubt about it, and the
kernel narrows as labels come closer together. With few labels it is coverage, with many it turns
into margin sampling.
Source. Bae, Oliveira and Sutherland, "Uncertainty Herding", ICLR 2025, Eq. 3 (uncertainty
coverage), Algorithm 1 and the radius adaptation of Section 3.3.
Cost. N D K, then as maxherding. Needs. A head.
Deviations. The paper picks the softmax temperature on held-out labels with a head trained anew; the
head given here has seen all labels, so `temperature` is an option and 1 by default.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import unit_rows
from backend.acquisition.engines.coverage import rbf
from backend.acquisition.engines.distances import squared_distances
from backend.acquisition.engines.predictions import log_probabilities, margins, trained_head
from backend.acquisition.strategies.maxherding import CONSIDERED, considered_rows, herd
from backend.errors import AcquisitionError


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    sigma: float | None = None,
    temperature: float = 1.0,
    considered: int = CONSIDERED,
) -> Picks:
    """The greedy picks; `sigma` None adapts the kernel's width to the labeled rows."""
    if not temperature > 0:
        raise AcquisitionError(f"temperature must be above 0; found {temperature}")
    head = trained_head(pool, "uherding")
    rows = considered_rows(pool, budget, considered, generator)
    doubt = tempered_doubt(log_probabilities(head, pool.embeddings), temperature)
    sigma = labeled_spacing(pool.labeled_embeddings) if sigma is None else sigma
    return herd(pool, rows, budget, rbf(sigma), doubt[rows]).with_statistics(sigma=sigma)


def tempered_doubt(log: np.ndarray, temperature: float) -> np.ndarray:
    """`(N,)`, 1 - margin of the probabilities at `temperature`."""
    return (1 - margins((torch.from_numpy(log) / temperature).log_softmax(1))).numpy()


def labeled_spacing(labeled_embeddings: np.ndarray) -> float:
    """The smallest distance above 0 between unit-length labeled rows; 1 without one."""
    points = torch.from_numpy(unit_rows(labeled_embeddings)).double()
    squared = squared_distances(points, points).fill_diagonal_(0)
    apart = squared[squared > 1e-12]
    return float(apart.min().sqrt()) if len(apart) else 1.0
