"""The learned alpha that ALFA-Mix compares its closed form with: gradient ascent on the loss.

alpha starts at epsilon / 2 and takes signed gradient steps that raise the cross-entropy at the
pseudo-label less a small penalty on its norm, kept in [0, epsilon] in every coordinate. A row flips
if any alpha on the way changes its prediction, and to the class that the first of them gives.

Source: ALFA-Mix, Eq. 4 and Section 3.3. Step sizes, penalty and number of steps are the authors'
defaults, whose optimizer is created anew in each step and so moves by the gradient's sign.
Deviation: the start is the middle of the box instead of a random point around it.
Legend: n rows of a block, D embedding, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from backend.acquisition.alfa_mix.mixing import Flip
from backend.acquisition.heads import Head

STEP_SIZES = (0.1, 0.1, 0.1, 0.1, 0.01)
NORM_PENALTY = 0.01


def flip_by_learning(head: Head) -> Flip:
    """The class that the head predicts for a mix by an alpha learned within epsilon."""

    def flip(
        block: Tensor, label: Tensor, gradient: Tensor, anchor: Tensor, epsilon: float
    ) -> Tensor:
        difference = anchor - block
        alpha = torch.full_like(block, epsilon / 2)
        found = label
        for size in STEP_SIZES:
            logits, ascent = _ascent(head, block, difference, alpha, label)
            found = torch.where(found == label, logits.argmax(1), found)
            alpha = (alpha + size * ascent.sign()).clamp(0, epsilon)
        with torch.no_grad():
            last = head(block + alpha * difference).argmax(1)
        return torch.where(found == label, last, found)

    return flip


def _ascent(
    head: Head, block: Tensor, difference: Tensor, alpha: Tensor, label: Tensor
) -> tuple[Tensor, Tensor]:
    """The mix's logits `(n, K)` and the gradient `(n, D)` in alpha of loss less penalty."""
    alpha = alpha.requires_grad_()
    with torch.enable_grad():
        logits = head(block + alpha * difference)
        loss = cross_entropy(logits, label, reduction="sum")
        penalty = NORM_PENALTY * alpha.norm(dim=1).sum()
        (ascent,) = torch.autograd.grad(loss - penalty, alpha)
    return logits.detach(), ascent
