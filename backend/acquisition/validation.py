"""Refusing arrays, budgets and options that no strategy can work with, with the value found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np
import torch

from backend.acquisition.contract import Pool
from backend.acquisition.engines.blocks import blocks
from backend.acquisition.heads import Head, LinearHead
from backend.errors import AcquisitionError


def check_sizes(budget: int, supply: int | None) -> None:
    """AcquisitionError: budget is no integer of at least 1, or supply none of at least 0."""
    _check_count("budget", budget, 1)
    if supply is not None:
        _check_count("supply", supply, 0)


def _check_count(name: str, value: int, least: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise AcquisitionError(f"{name} must be an integer of at least {least}; found {value!r}")


def options_of(pick: Callable) -> tuple[str, ...]:
    """The names of the options that a strategy takes, sorted."""
    parameters = inspect.signature(pick).parameters.values()
    return tuple(sorted(p.name for p in parameters if p.kind is p.KEYWORD_ONLY))


def check_options(strategy: str, pick: Callable, options: Mapping) -> None:
    """AcquisitionError: the strategy does not have one of the options."""
    known = options_of(pick)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise AcquisitionError(
            f"{strategy} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
        )


def check_pool(pool: Pool) -> None:
    """AcquisitionError: disagreeing shapes, non-finite numbers, or labels outside [0, K)."""
    _check_matrix("embeddings", pool.embeddings)
    _check_matrix("labeled_embeddings", pool.labeled_embeddings)
    rows, columns = pool.embeddings.shape
    if pool.labeled_embeddings.shape[1] != columns:
        raise AcquisitionError(
            f"labeled_embeddings have {pool.labeled_embeddings.shape[1]} columns, "
            f"embeddings {columns}; they must agree"
        )
    _check_ids(pool.ids, rows)
    _check_labels(pool)
    _check_head(pool, columns)
    _check_finite("embeddings", pool.embeddings)
    _check_finite("labeled_embeddings", pool.labeled_embeddings)


def _check_matrix(name: str, array: np.ndarray) -> None:
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating) or array.shape[1] == 0:
        raise AcquisitionError(
            f"{name} must be a floating-point matrix (rows, D); "
            f"found shape {array.shape}, {array.dtype}"
        )


def _check_ids(ids: np.ndarray, rows: int) -> None:
    if ids.shape != (rows,) or not np.issubdtype(ids.dtype, np.integer):
        raise AcquisitionError(
            f"ids must be {rows} integers, one a pool row; found shape {ids.shape}, {ids.dtype}"
        )
    if len(np.unique(ids)) != rows:
        raise AcquisitionError("ids must be unique; found a repeated task id")


def _check_labels(pool: Pool) -> None:
    labels, labeled = pool.labels, len(pool.labeled_embeddings)
    if pool.num_classes < 1:
        raise AcquisitionError(f"num_classes must be at least 1; found {pool.num_classes}")
    if labels.shape != (labeled,) or not np.issubdtype(labels.dtype, np.integer):
        raise AcquisitionError(
            f"labels must be {labeled} integers, one a labeled row; "
            f"found shape {labels.shape}, {labels.dtype}"
        )
    outside = labels[(labels < 0) | (labels >= pool.num_classes)]
    if len(outside):
        raise AcquisitionError(
            f"labels must lie in [0, {pool.num_classes}); found {int(outside[0])}"
        )


def _check_head(pool: Pool, columns: int) -> None:
    if pool.head is None:
        return
    if not isinstance(pool.head, LinearHead):
        _check_callable_head(pool.head, pool)
        return
    weight, bias, classes = pool.head.weight, pool.head.bias, pool.num_classes
    if weight.shape != (classes, columns) or bias.shape != (classes,):
        raise AcquisitionError(
            f"the head must have weight {(classes, columns)} and bias {(classes,)}; "
            f"found {weight.shape} and {bias.shape}"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise AcquisitionError("the head's weight and bias must be finite; found NaN or infinity")


@torch.no_grad()
def _check_callable_head(head: Head, pool: Pool) -> None:
    _, block = next(blocks(pool.embeddings[:1]))
    wanted, found = (len(block), pool.num_classes), tuple(head(block).shape)
    if found != wanted:
        raise AcquisitionError(
            f"the head must map {tuple(block.shape)} to {wanted}; it gave {found}"
        )


def _check_finite(name: str, array: np.ndarray) -> None:
    for positions, block in blocks(array):
        if torch.isfinite(block.sum()):  # one pass; a sum is finite only if all its terms are
            continue
        bad = (~torch.isfinite(block)).any(1).nonzero()[:, 0]
        if len(bad):
            row = positions.start + int(bad[0])
            raise AcquisitionError(f"{name} must be finite; row {row} holds NaN or infinity")
