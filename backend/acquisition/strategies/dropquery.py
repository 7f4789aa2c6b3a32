"""dropquery: rows whose prediction does not survive dropout, spread out by clustering.

Idea. Drop features at random a few times and predict again. Rows whose class changes in more than
half of the trials are candidates; cluster them into B clusters and label the row nearest each
center.
Source. Gupte et al., "Revisiting Active Learning in the Era of Vision Foundation Models", TMLR
2024, Section 3.5: 3 trials at rate 0.75.
Cost. `trials` N D K, then k-means on the candidates. Needs. A head.
Deviations. With too few candidates, rows that changed less often fill up, smallest margin first;
embeddings are scaled to unit length for clustering.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import map_rows_to_pairs
from backend.acquisition.engines.clustering import cluster_candidates
from backend.acquisition.engines.predictions import margins, trained_head
from backend.acquisition.heads import Head
from backend.errors import AcquisitionError


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    trials: int = 3,
    dropout: float = 0.75,
) -> Picks:
    """B rows among those that change their class in more than half of the `trials`."""
    head = trained_head(pool, "dropquery")
    if trials < 1 or not 0 < dropout < 1:
        raise AcquisitionError(
            f"dropquery needs trials >= 1 and 0 < dropout < 1; found {trials} and {dropout}"
        )
    changes, margin = map_rows_to_pairs(
        pool.embeddings, lambda block: _changes(head, block, trials, dropout, generator)
    )
    candidates = np.flatnonzero(changes > trials / 2)
    # A margin is below 1, so it only orders rows with equally many changes.
    picks = cluster_candidates(pool, candidates, margin - changes, budget, generator)
    return picks.with_statistics(n_candidates=len(candidates))


@torch.no_grad()
def _changes(
    head: Head, block: Tensor, trials: int, dropout: float, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """`(n,)`: in how many trials the class changes, and `(n,)` the margin without dropout."""
    log = head(block).log_softmax(1)
    label = log.argmax(1)
    changes = torch.zeros(len(block), dtype=block.dtype)
    for _ in range(trials):
        kept = torch.from_numpy(generator.random(block.shape, dtype=np.float32) >= dropout)
        changes += head(block * kept / (1 - dropout)).argmax(1) != label
    return changes, margins(log)
