"""Picks of dhuseljic/dal-toolbox's strategies, which expect a Lightning module and data module."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from backend.acquisition import Pool
from backend.acquisition.engines.blocks import unit_rows

Part = tuple[Tensor, Tensor]  # embeddings (n, D) and labels (n,)


def dal_toolbox_picks(name: str, options: dict, pool: Pool, budget: int, seed: int) -> np.ndarray:
    """The (B,) pool rows that the toolbox's class `name` queries.

    ModuleNotFoundError: the checkout, or what it imports (`lightning`, `rich`), is missing.
    """
    module = importlib.import_module("dal_toolbox.active_learning.strategies")
    return _queried(getattr(module, name)(**options), pool, budget, seed)


def refine_picks(pool: Pool, budget: int, seed: int) -> np.ndarray:
    """Those of the publication's Refine; its temperature, which needs a training, is 1."""
    module = importlib.import_module("publications.cleaning_the_pool.strategies")
    refine = module.Refine(random_seed=seed)
    for herding in (refine.strategies["unc_herding"], refine.select_strategy):
        _leave_untempered(herding)
    for number, strategy in enumerate(refine.strategies.values()):
        strategy.rng = np.random.default_rng([seed, number])
    return _queried(refine, pool, budget, seed)


def uncertainty_herding_picks(pool: Pool, budget: int, seed: int) -> np.ndarray:
    """Those of the toolbox's UncertaintyHerding at temperature 1."""
    module = importlib.import_module("dal_toolbox.active_learning.strategies")
    herding = module.UncertaintyHerding()
    _leave_untempered(herding)
    return _queried(herding, pool, budget, seed)


def bait_of_means_picks(pool: Pool, budget: int, seed: int) -> np.ndarray:
    """Those of its BAIT where the information of all and of the labeled rows are means over rows.

    As it is, it adds up means over 32 rows each.
    """
    count = len(pool.ids) + len(pool.labels)
    return dal_toolbox_picks(
        "BaitSampling", BINARY | {"fisher_batch_size": count}, pool, budget, seed
    )


BINARY = {"grad_likelihood": "binary_cross_entropy"}


def typiclust_picks(pool: Pool, budget: int, seed: int) -> np.ndarray:
    """Those of its TypiClust on unit-length embeddings, which it leaves to whoever calls it."""
    of_unit_length = replace(
        pool,
        embeddings=unit_rows(pool.embeddings),
        labeled_embeddings=unit_rows(pool.labeled_embeddings),
    )
    return dal_toolbox_picks("TypiClust", {}, of_unit_length, budget, seed)


def _leave_untempered(herding: object) -> None:
    herding.cycle = 1
    herding.history["temperature"] = [1.0]


def _queried(strategy: object, pool: Pool, budget: int, seed: int) -> np.ndarray:
    np.random.seed(seed)  # its k-means draws from there
    torch.manual_seed(seed)  # and its dropout from there
    strategy.rng = np.random.default_rng(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        chosen = strategy.query(model=_Model(pool), al_datamodule=_Rows(pool), acq_size=budget)
    return np.array(chosen)


class _Model:
    """The pool's head, on parts that are embeddings already."""

    def __init__(self, pool: Pool) -> None:
        self._head = pool.head
        self.model = SimpleNamespace(forward_head=pool.head)

    def to(self, device: str) -> _Model:
        """Itself: there is nothing to move."""
        return self

    def get_model_outputs(
        self, part: Part, output_types: Sequence[str], device: str
    ) -> Mapping[str, Tensor]:
        """Copies of what is asked for."""
        embeddings, labels = part
        found = {"features": embeddings, "logits": self._head(embeddings), "labels": labels}
        return {name: found[name].clone() for name in output_types}


class _Rows:
    """Which rows are labeled, as a data module; a row of the pool has its own number."""

    def __init__(self, pool: Pool) -> None:
        self.unlabeled_indices = list(range(len(pool.ids)))
        self._pool = torch.tensor(pool.embeddings)
        self._labeled = torch.tensor(pool.labeled_embeddings), torch.tensor(pool.labels)
        self.labeled_indices = list(range(len(pool.ids), len(pool.ids) + len(pool.labels)))

    def unlabeled_dataloader(self, subset_size: int | None = None) -> tuple[Part, list[int]]:
        """Those not labeled, and their numbers."""
        rows = self._pool[self.unlabeled_indices]
        return (rows, torch.zeros(len(rows))), self.unlabeled_indices

    def labeled_dataloader(self) -> tuple[Part, list[int]]:
        """Those labeled, and their numbers."""
        return self._labeled, self.labeled_indices
