"""Reading an embedding matrix in blocks, so that memory stays bounded whatever the pool's size.

Shapes: N rows, D columns, n rows of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

BLOCK_ROWS = 4096  # 6 MB at D = 384 in float32: a block and its products stay near the caches


def compute_dtype(array: np.ndarray) -> torch.dtype:
    """Return float64 for float64 rows and float32 for anything narrower."""
    return torch.float64 if array.dtype == np.float64 else torch.float32


def blocks(
    array: np.ndarray, rows: np.ndarray | None = None, block_rows: int = BLOCK_ROWS
) -> Iterator[tuple[slice, Tensor]]:
    """Yield `(positions, block (n, D))` over all rows, or over `rows` in their order.

    No rows give one empty block. Each block is a copy: the array is never written, may be
    read-only, and may live on disk.
    """
    dtype = compute_dtype(array)
    count = len(array) if rows is None else len(rows)
    for start in range(0, max(count, 1), block_rows):
        positions = slice(start, min(start + block_rows, count))
        part = array[positions] if rows is None else array[rows[positions]]
        yield positions, torch.tensor(np.asarray(part), dtype=dtype)


def map_rows(
    array: np.ndarray, function: Callable[[Tensor], Tensor], rows: np.ndarray | None = None
) -> np.ndarray:
    """Return `function` of every block, stacked: `(N,)` or `(N, ...)` in the compute dtype."""
    return np.concatenate([function(block).numpy() for _, block in blocks(array, rows)])


def unit_rows(array: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Return rows `(n, D)` scaled to length 1; a zero row stays zero."""
    return map_rows(array, torch.nn.functional.normalize, rows)
