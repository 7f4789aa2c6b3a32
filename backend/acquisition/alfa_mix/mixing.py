"""How far mixing with an anchor moves an embedding, at which epsilon that flips it, and to what.

A mix (1 - alpha) z + alpha a (Eq. 1 of ALFA-Mix) is z + alpha d with d = a - z, element by element.
Every way of choosing alpha here is proportional to epsilon, so it is given as the `Move` for
epsilon = 1. For a linear head the logits are then affine in epsilon and the flip has a closed form
per anchor; any other head is evaluated at each epsilon step.

Every search answers `(N,)` critical epsilons, inf where no mix flips the prediction, and `(N,)`
int64 classes that the rows flip to, the pseudo-label where none does.

Legend: N pool rows, n rows of a block, D embedding, K classes, A anchors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from backend.acquisition.engines.blocks import blocks, compute_dtype, map_rows_to_pairs
from backend.acquisition.heads import Head, LinearHead

# (difference d (n, D), unit gradient g (n, D)) -> displacement alpha d (n, D) for epsilon = 1
Move = Callable[[Tensor, Tensor], Tensor]

# (embeddings (n, D), labels (n,), unit gradient (n, D), anchor (D,), epsilon) -> (n,) int64 class
# of a mix that flips the prediction; the label where none does
Flip = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]


def closed_form_move(difference: Tensor, gradient: Tensor) -> Tensor:
    """|d| g / sqrt(D): Eq. 5 times d, with the authors' scale of epsilon.

    Eq. 5 divides by d and the mix multiplies by it; done at once, no division is left.
    """
    return difference.norm(dim=1, keepdim=True) / math.sqrt(difference.shape[1]) * gradient


def exact_move(difference: Tensor, gradient: Tensor) -> Tensor:
    """alpha d for alpha = d g / |d g|, the maximum of Eq. 4 for the linearized loss.

    Eq. 4 bounds alpha itself, so epsilon needs no scale. Zero where d g is zero everywhere.
    """
    return torch.nn.functional.normalize(difference * gradient, eps=1e-30) * difference


def fixed_move(alpha: Tensor) -> Move:
    """The move of one fixed `alpha (D,)` in [0, 1], whatever the gradient."""
    return lambda difference, gradient: alpha * difference


def loss_direction(head: Head, embeddings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits `(n, K)`, pseudo-labels `(n,)`, unit gradient `(n, D)` of their cross-entropy.

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


def first_overtaking(gaps: Tensor, rises: Tensor, noise: Tensor | float) -> tuple[Tensor, Tensor]:
    """`(n,)` steps at which the first rival overtakes, inf where none does, and that rival `(n,)`.

    The step is the least gap / rise. Of rivals who overtake at the same step the steepest is ahead
    from there on, of equals the first. Where nobody overtakes, the rival means nothing.

    gaps `(n, K)` of the pseudo-label over each class, not negative; rises `(n, K)` of each class
    over the pseudo-label per step. Rises up to `noise` are rounding. Both are overwritten.
    """
    steps = gaps.div_(rises).masked_fill_(rises <= noise, math.inf)
    least = steps.amin(1, keepdim=True)
    rival = rises.masked_fill_(steps > least, -math.inf).argmax(1)
    return least[:, 0], rival


def affine_flips(
    head: LinearHead, embeddings: np.ndarray, anchors: np.ndarray, move: Move
) -> tuple[np.ndarray, np.ndarray]:
    """Critical epsilons and classes: a row flips exactly for epsilon above its critical one."""
    dtype = compute_dtype(embeddings)
    weight = torch.as_tensor(head.weight - head.weight[0], dtype=dtype)
    targets = torch.as_tensor(anchors, dtype=dtype)

    def flips(block: Tensor) -> tuple[Tensor, Tensor]:
        logits, label, gradient = loss_direction(head, block)
        gaps = logits.gather(1, label[:, None]) - logits
        least, flips_to = torch.full((len(block),), math.inf, dtype=dtype), label
        for anchor in targets:
            slopes = move(anchor - block, gradient) @ weight.T
            noise = 8 * torch.finfo(dtype).eps * slopes.abs().amax(1, keepdim=True)
            rises = slopes - slopes.gather(1, label[:, None])
            epsilon, rival = first_overtaking(gaps.clone(), rises, noise)
            flips_to = torch.where(epsilon < least, rival, flips_to)
            least = torch.minimum(least, epsilon)
        return least, flips_to

    return map_rows_to_pairs(embeddings, flips)


def stepped_flips(
    flip: Flip,
    head: Head,
    embeddings: np.ndarray,
    anchors: np.ndarray,
    caps: np.ndarray,
    budget: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The first of `caps` that flips each row, and the class that the first such anchor gives.

    Caps after the one that leaves more than `budget` rows flipped are not tried.
    """
    targets = torch.as_tensor(anchors, dtype=compute_dtype(embeddings))
    critical = np.full(len(embeddings), np.inf)
    flips_to = np.empty(len(embeddings), dtype=np.int64)
    for cap in caps:
        steady = np.flatnonzero(np.isinf(critical))
        for positions, block in blocks(embeddings, steady):
            _, label, gradient = loss_direction(head, block)
            found = label
            for anchor in targets:
                mixed = flip(block, label, gradient, anchor, float(cap))
                found = torch.where(found == label, mixed, found)
            flips_to[steady[positions]] = found.numpy()
            critical[steady[positions][(found != label).numpy()]] = cap
        if np.isfinite(critical).sum() > budget:
            break
    return critical, flips_to


def flip_by(head: Head, move: Move) -> Flip:
    """The class that the head predicts after `move`, times epsilon."""

    @torch.no_grad()
    def flip(
        block: Tensor, label: Tensor, gradient: Tensor, anchor: Tensor, epsilon: float
    ) -> Tensor:
        return head(block + epsilon * move(anchor - block, gradient)).argmax(1)

    return flip
