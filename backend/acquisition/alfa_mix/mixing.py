"""How far mixing with an anchor moves an embedding, and the epsilon at which that flips it.

A mix (1 - alpha) z + alpha a (Eq. 1 of ALFA-Mix) is z + alpha d with d = a - z, element by element.
Every way of choosing alpha here is proportional to epsilon, so it is given as the `Move` for
epsilon = 1. For a linear head the logits are then affine in epsilon and the flip has a closed form
per anchor; any other head is evaluated at each epsilon step.

Shapes: N pool rows, n rows of a block, D embedding, K classes, A anchors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.engines.blocks import blocks, compute_dtype, map_rows
from backend.acquisition.heads import Head, LinearHead

# (difference d (n, D), unit gradient g (n, D)) -> displacement alpha d (n, D) for epsilon = 1
Move = Callable[[Tensor, Tensor], Tensor]

# (embeddings (n, D), labels (n,), unit gradient (n, D), anchor (D,), epsilon) -> (n,) bool
Flips = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]


def closed_form_move(difference: Tensor, gradient: Tensor) -> Tensor:
    """Return |d| g / sqrt(D): Eq. 5 times d, with the authors' scale of epsilon.

    Eq. 5 divides by d and the mix multiplies by it; done at once, no division is left.
    """
    return difference.norm(dim=1, keepdim=True) / math.sqrt(difference.shape[1]) * gradient


def exact_move(difference: Tensor, gradient: Tensor) -> Tensor:
    """Return alpha d for alpha = d g / |d g|, the maximum of Eq. 4 for the linearized loss.

    Eq. 4 bounds alpha itself, so epsilon needs no scale. Zero where d g is zero everywhere.
    """
    return torch.nn.functional.normalize(difference * gradient, eps=1e-30) * difference


def fixed_move(alpha: Tensor) -> Move:
    """Return the move of one fixed `alpha (D,)` in [0, 1], whatever the gradient."""
    return lambda difference, gradient: alpha * difference


def loss_direction(head: Head, embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits `(n, K)`, pseudo-labels `(n,)`, unit gradient `(n, D)` of their cross-entropy.

    The gradient is (1 - p_y) times that of sum_k q_k l_k - l_y, q being the softmax without y; the
    latter has the same direction and does not underflow for confident rows. Zero stays zero.
    """
    points = embeddings.detach().requires_grad_()
    with torch.enable_grad():
        logits = head(points)
        label = logits.detach().argmax(1, keepdim=True)
        rivals = logits.detach().scatter(1, label, -math.inf).softmax(1)
        objective = (rivals * logits).sum() - logits.gather(1, label).sum()
        (gradient,) = torch.autograd.grad(objective, points)
    unit = torch.nn.functional.normalize(gradient, eps=1e-30)
    return logits.detach(), label[:, 0], unit


def first_flip(gaps: Tensor, rises: Tensor, noise: Tensor | float) -> Tensor:
    """Return `(n,)` the step at which a rival overtakes: least gap / rise; inf without a rise.

    gaps `(n, K)` of the pseudo-label over each class, not negative; rises `(n, K)` of each class
    over the pseudo-label per step. Rises up to `noise` are rounding. `gaps` is overwritten.
    """
    return gaps.div_(rises).masked_fill_(rises <= noise, math.inf).amin(1)


def affine_critical_epsilons(
    head: LinearHead, embeddings: np.ndarray, anchors: np.ndarray, move: Move
) -> np.ndarray:
    """Return `(N,)`: the prediction flips exactly for epsilon above this; inf for never."""
    dtype = compute_dtype(embeddings)
    weight = torch.as_tensor(head.weight - head.weight[0], dtype=dtype)
    targets = torch.as_tensor(anchors, dtype=dtype)

    def critical(block: Tensor) -> Tensor:
        logits, label, gradient = loss_direction(head, block)
        gaps = logits.gather(1, label[:, None]) - logits
        least = torch.full((len(block),), math.inf, dtype=dtype)
        for anchor in targets:
            slopes = move(anchor - block, gradient) @ weight.T
            noise = 8 * torch.finfo(dtype).eps * slopes.abs().amax(1, keepdim=True)
            rises = slopes - slopes.gather(1, label[:, None])
            least = torch.minimum(least, first_flip(gaps.clone(), rises, noise))
        return least

    return map_rows(embeddings, critical)


def stepped_critical_epsilons(
    head: Head,
    embeddings: np.ndarray,
    anchors: np.ndarray,
    flips: Flips,
    caps: np.ndarray,
    budget: int,
) -> np.ndarray:
    """Return `(N,)` the first of `caps` that flips the prediction with any anchor; inf for none.

    Caps after the one that leaves more than `budget` rows flipped are not tried.
    """
    targets = torch.as_tensor(anchors, dtype=compute_dtype(embeddings))
    critical = np.full(len(embeddings), np.inf)
    for cap in caps:
        steady = np.flatnonzero(np.isinf(critical))
        for positions, block in blocks(embeddings, steady):
            _, label, gradient = loss_direction(head, block)
            flipped = torch.zeros(len(block), dtype=torch.bool)
            for anchor in targets:
                flipped |= flips(block, label, gradient, anchor, float(cap))
            critical[steady[positions][flipped.numpy()]] = cap
        if np.isfinite(critical).sum() > budget:
            break
    return critical


def flips_by(head: Head, move: Move) -> Flips:
    """Return the test whether `move`, times epsilon, changes the head's prediction."""

    @torch.no_grad()
    def flips(
        block: Tensor, label: Tensor, gradient: Tensor, anchor: Tensor, epsilon: float
    ) -> Tensor:
        mixed = block + epsilon * move(anchor - block, gradient)
        return head(mixed).argmax(1) != label

    return flips
