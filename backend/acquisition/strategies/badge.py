"""badge: k-means++ seeds among the gradients the rows would cause.

Idea. A row's gradient embedding is the gradient of the loss at the pseudo-label in the last layer:
(p - onehot(y)) (x) z. Its length is doubt and its direction is kind. D^2 sampling from them draws a
batch that is both uncertain and diverse.
Source. Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds", ICLR
2020, Eq. 1 and Algorithm 1.
Cost. N D K + N B (D + K): distances come from the factors, the N x K D matrix is never built.
Needs. A head.
Deviations. The first row is the one with the longest gradient, as in the BADGE authors' code; the
paper leaves it open. Where all gradients left are equal to drawn ones, the longest fill up.
For a head with hidden layers the embedding stands for the last layer's input.
"""

from __future__ import annotations

import numpy as np
import torch

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import blocks
from backend.acquisition.engines.clustering import fill, smallest_first
from backend.acquisition.engines.distances import ProductSpace
from backend.acquisition.engines.predictions import log_probabilities, trained_head
from backend.acquisition.engines.seeding import d2_sample


def pick(pool: Pool, budget: int, generator: np.random.Generator) -> Picks:
    """Rows by D^2 sampling, the one with the longest gradient first."""
    space = gradient_space(pool)
    longest = smallest_first(-space.squares.sqrt().numpy(), pool.ids)
    drawn = d2_sample(space, budget, int(longest[0]), generator)
    return Picks(rows=fill(drawn, longest, budget))


def gradient_space(pool: Pool) -> ProductSpace:
    """The gradient embeddings as factors: residuals `(N, K)` and embeddings `(N, D)`."""
    log = torch.from_numpy(log_probabilities(trained_head(pool, "badge"), pool.embeddings))
    label = log.argmax(1, keepdim=True)
    residuals = log.exp()
    # p_y - 1 as minus the sum of the others: exact also where p_y rounds to 1.
    others = residuals.scatter(1, label, 0.0).sum(1, keepdim=True)
    residuals.scatter_(1, label, -others)
    embeddings = torch.cat([block for _, block in blocks(pool.embeddings)])
    return ProductSpace([residuals, embeddings])
