"""deepfool: rows nearest the head's decision boundary.

Idea. The smallest change of a row that flips its prediction is its distance to the boundary. The B
nearest rows are labeled. For a linear head it has a closed form; for any other head, DeepFool walks
to the boundary by repeated linearization.
Source. Ducoffe and Precioso, "Adversarial Active Learning for Deep Networks", arXiv 1802.09841,
2018; the walk is Moosavi-Dezfooli et al., CVPR 2016, Algorithm 2 and Eq. 8.
Cost. Linear: N D K. Any head: up to `steps` N K gradients. Needs. A head.
Deviations. The change is sought in the embedding, not in the image. The ALFA-Mix authors' code
steps to the last class it visits instead of the nearest; here the nearest is taken.

Legend: N pool rows, n rows of a block, D embedding, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.contract import Picks, Pool
from backend.acquisition.engines.blocks import map_rows
from backend.acquisition.engines.clustering import smallest_first
from backend.acquisition.engines.predictions import trained_head
from backend.acquisition.heads import Head, LinearHead
from backend.errors import AcquisitionError

OVERSHOOT = 1.02  # of Moosavi-Dezfooli et al.: lands beyond the boundary, not on it


def pick(pool: Pool, budget: int, generator: np.random.Generator, *, steps: int = 50) -> Picks:
    """The rows nearest the boundary."""
    if steps < 1:
        raise AcquisitionError(f"steps must be at least 1; found {steps}")
    head = trained_head(pool, "deepfool")
    if isinstance(head, LinearHead):
        distance = map_rows(pool.embeddings, lambda block: linear_distances(head, block))
    else:
        distance = map_rows(pool.embeddings, lambda block: walked_distances(head, block, steps))
    return Picks(rows=smallest_first(distance, pool.ids)[:budget], order=distance)


def linear_distances(head: LinearHead, embeddings: Tensor) -> Tensor:
    """`(n,)` min over k of (l_y - l_k) / |w_k - w_y|; inf where all weights are equal."""
    logits = head(embeddings)
    weight = torch.as_tensor(head.weight, dtype=torch.float64)
    apart = torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist")
    top, label = logits.max(1, keepdim=True)
    norms = apart[label[:, 0]].to(logits.dtype)
    return ((top - logits) / norms).masked_fill(norms == 0, torch.inf).amin(1)


def walked_distances(head: Head, embeddings: Tensor, steps: int) -> Tensor:
    """`(n,)` length of DeepFool's total change; inf where `steps` do not flip the row."""
    change = torch.zeros_like(embeddings)
    label = _logits(head, embeddings).argmax(1)
    walking = torch.arange(len(embeddings))
    for _ in range(steps):
        moved = embeddings[walking] + OVERSHOOT * change[walking]
        still = _logits(head, moved).argmax(1) == label[walking]
        walking, moved = walking[still], moved[still]
        if len(walking) == 0:
            break
        change[walking] += _step_to_boundary(head, moved, label[walking])
    flipped = _logits(head, embeddings + OVERSHOOT * change).argmax(1) != label
    return change.norm(dim=1).masked_fill(~flipped, torch.inf)


def _step_to_boundary(head: Head, points: Tensor, label: Tensor) -> Tensor:
    """`(n, D)`, the shortest step to the boundary of the head linearized at `points`."""
    logits, jacobian = _logits_and_jacobian(head, points)
    row = torch.arange(len(points))
    normals = jacobian - jacobian[row, label][:, None]
    gaps = logits[row, label][:, None] - logits
    squares = normals.square().sum(2)
    lengths = (gaps.clamp(min=0) / squares.sqrt()).masked_fill(squares == 0, torch.inf)
    nearest = lengths.argmin(1)
    scale = gaps[row, nearest] / squares[row, nearest]
    return torch.nan_to_num(scale, nan=0.0, posinf=0.0)[:, None] * normals[row, nearest]


def _logits_and_jacobian(head: Head, points: Tensor) -> tuple[Tensor, Tensor]:
    """Logits `(n, K)` and their gradients in the embedding `(n, K, D)`."""
    points = points.detach().requires_grad_()
    with torch.enable_grad():
        logits = head(points)
        columns = logits.sum(0)
        gradients = [torch.autograd.grad(c, points, retain_graph=True)[0] for c in columns]
    return logits.detach(), torch.stack(gradients, dim=1)


@torch.no_grad()
def _logits(head: Head, points: Tensor) -> Tensor:
    return head(points)
