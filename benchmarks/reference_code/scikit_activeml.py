"""Picks of scikit-activeml's strategies."""

from __future__ import annotations

import importlib

import numpy as np

from backend.acquisition import Pool
from backend.acquisition.engines.blocks import unit_rows
from benchmarks.acquisition_cases import linear_classifier

# Those that the library leaves to whoever calls it; MaxHerding sees to it itself.
ON_UNIT_LENGTH = ("ProbCover", "TypiClust")


def scikit_activeml_picks(
    name: str, options: dict, pool: Pool, budget: int, seed: int
) -> np.ndarray:
    """The (B,) pool rows that the library's class `name` queries.

    ModuleNotFoundError: it is not installed.
    """
    strategy = getattr(importlib.import_module("skactiveml.pool"), name)
    embeddings = np.concatenate([pool.embeddings, pool.labeled_embeddings])
    if name in ON_UNIT_LENGTH:
        embeddings = unit_rows(embeddings)
    labels = np.concatenate([np.full(len(pool.ids), np.nan), pool.labels])
    head = {}
    if name in ("Badge", "DropQuery"):
        options = {"clf_embedding_flag_name": "return_embeddings", **options}
        head = {"clf": linear_classifier(pool), "fit_clf": False}
    chosen = strategy(random_state=seed, **options)
    return chosen.query(embeddings, labels, batch_size=budget, **head)
