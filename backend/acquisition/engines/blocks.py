"""Reading an embedding matrix in blocks, so that memory stays bounded whatever the pool's size.

Legend: N rows, D columns, n rows of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

BLOCK_ROWS = 4096  # 6 MB at D = 384 in float32: a block and its products stay near the caches


def compute_dtype(array: np.ndarray) -> torch.dtype:
    """float64 for float64 rows and float32 for anything narrower."""
    return torch.float64 if array.dtype == np.float64 else torch.float32


def blocks(array: np.ndarray, rows: np.ndarray | None = None) -> Iterator[tuple[slice, Tensor]]:
    """`(positions, block (n, D))` over all rows, or over `rows` in their order.

    No rows give one empty block. Each block is a copy: the array is never written, may be
    read-only, and may live on disk.
    """
    dtype = compute_dtype(array)
    count = len(array) if rows is None else len(rows)
    for start in range(0, max(count, 1), BLOCK_ROWS):
        positions = slice(start, min(start + BLOCK_ROWS, count))
        part = array[positions] if rows is None else array[rows[positions]]
        yield positions, torch.tensor(np.asarray(part), dtype=dtype)


def map_rows(
    array: np.ndarray, function: Callable[[Tensor], Tensor], rows: np.ndarray | None = None
) -> np.ndarray:
    """`function` of every block, stacked: `(N,)` or `(N, ...)`."""
    (found,) = _stacked(array, lambda block: (function(block),), rows)
    return found


def map_rows_to_pairs(
    array: np.ndarray,
    function: Callable[[Tensor], tuple[Tensor, Tensor]],
    rows: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Both answers of `function`, each stacked over all blocks."""
    first, second = _stacked(array, function, rows)
    return first, second


def _stacked(
    array: np.ndarray, function: Callable[[Tensor], tuple[Tensor, ...]], rows: np.ndarray | None
) -> list[np.ndarray]:
    """Every answer of `function`, stacked over all blocks.

    Written into place: small answers kept between the blocks would leave no room for the next block
    where the last one was, and memory would grow by a block each time.
    """
    count = len(array) if rows is None else len(rows)
    stacks: list[Tensor] = []
    for positions, block in blocks(array, rows):
        answers = function(block)
        stacks = stacks or [answer.new_empty(count, *answer.shape[1:]) for answer in answers]
        for stack, answer in zip(stacks, answers, strict=True):
            stack[positions] = answer
    return [stack.numpy() for stack in stacks]


def unit_rows(array: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Rows `(n, D)` scaled to length 1; a zero row stays zero."""
    return map_rows(array, torch.nn.functional.normalize, rows)
