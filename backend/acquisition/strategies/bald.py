"""bald: rows on which dropout samples of the head disagree although each is sure.

Idea. Dropout at prediction time samples classifiers from an approximate posterior. The mutual
information between prediction and classifier, entropy of the mean minus mean of the entropies, is
large where the samples contradict each other with confidence. The B largest are labeled.
Source. Houlsby et al., arXiv 1112.5745, 2011, Eq. 2; with Monte-Carlo dropout Gal et al., ICML
2017, Section 4.
Cost. `samples` N D K. Needs. A head.
Deviations. Dropout acts on the embedding, before the head: the backbone has run already and its
embeddings are stored. One mask is one sampled classifier, the same for all rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import compute_dtype, map_rows
from backend.acquisition.engines.clustering import smallest_first
from backend.acquisition.engines.predictions import trained_head
from backend.acquisition.heads import Head
from backend.acquisition.strategies.uncertainty import entropy
from backend.errors import AcquisitionError


def pick(
    pool: Pool,
    budget: int,
    generator: np.random.Generator,
    *,
    samples: int = 20,
    dropout: float = 0.5,
) -> Picks:
    """The rows of largest mutual information over `samples` masks at rate `dropout`."""
    head = trained_head(pool, "bald")
    if samples < 1 or not 0 < dropout < 1:
        raise AcquisitionError(
            f"bald needs samples >= 1 and 0 < dropout < 1; found {samples} and {dropout}"
        )
    kept = generator.random((samples, pool.embeddings.shape[1])) >= dropout
    masks = torch.tensor(kept / (1 - dropout), dtype=compute_dtype(pool.embeddings))
    information = map_rows(pool.embeddings, lambda block: mutual_information(head, block, masks))
    return Picks(rows=smallest_first(-information, pool.ids)[:budget], order=-information)


@torch.no_grad()
def mutual_information(head: Head, embeddings: Tensor, masks: Tensor) -> Tensor:
    """`(n,)` in nats for embeddings `(n, D)` under multiplicative masks `(T, D)`."""
    logs = torch.stack([head(embeddings * mask).log_softmax(1) for mask in masks])
    mean_log = logs.logsumexp(0) - np.log(len(masks))
    return entropy(mean_log) - torch.stack([entropy(log) for log in logs]).mean(0)
