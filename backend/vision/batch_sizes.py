"""Batches of few different sizes.

On processors oneDNN and torch make code for each shape that a layer is called with, some MB for all
layers of a small ViT, and keep it. Last batches of every size from 1 to 63 would be kept for ever.
"""

from __future__ import annotations

import torch

STEP = 8


def filled(batch: torch.Tensor) -> torch.Tensor:
    """The (B, ...) rows, B from 1 on, and as many copies of the last as fill a STEP.

    Layers of a ViT treat each row by itself: what they give for the first B rows is the same.
    """
    lacking = -len(batch) % STEP
    if lacking == 0:
        return batch
    rows = torch.arange(len(batch) + lacking, device=batch.device).clamp(max=len(batch) - 1)
    return batch[rows]
