"""The tasks of the pool that are most like one, by the embeddings that the queue was chosen by.

Legend: N tasks of the pool, D embedding.
"""

from __future__ import annotations

import numpy as np

from backend.errors import StoreError
from backend.process.serve import WEB_THREADS
from model_store.embeddings import EmbeddingStore
from model_store.journal import Journal, RoundState
from model_store.project_folder import ProjectFolder

COUNT = 50
# Each takes most of a second of 100,000 tasks.
COMPARISONS_AT_ONCE = WEB_THREADS // 8
# Of a norm, where an embedding is all zero.
TINY = 1e-12


def most_alike(
    journal: Journal,
    folder: ProjectFolder,
    key: str,
    published: RoundState | None,
    image_key: str,
) -> list[int]:
    """COUNT tasks that wait for a label, by cosine similarity to an image, the most alike first.

    Empty where the embeddings of the round that the queue follows are not at hand.
    """
    if published is None or published.features_version is None:
        return []
    store, version = EmbeddingStore(folder.embeddings), published.features_version
    task_ids, image_keys = journal.overview.pool_images(key)
    try:
        wanted = store.read(version, [image_key])[0]
        cosines = _cosines(store, version, image_keys, wanted)
    except StoreError:
        return []
    ids = np.array(task_ids, dtype=np.int64)
    order = np.lexsort((ids, -cosines))[:COUNT]
    return [int(task_id) for task_id in ids[order[np.isfinite(cosines[order])]]]


def _cosines(
    store: EmbeddingStore, version: str, image_keys: list[str], wanted: np.ndarray
) -> np.ndarray:
    """(N,) cosine similarities with one (D,) embedding; -inf where an image has none."""
    cosines = np.full(len(image_keys), -np.inf, dtype=np.float32)
    unit = wanted / max(float(np.linalg.norm(wanted)), TINY)
    for positions, rows in store.read_by_part(version, image_keys):
        cosines[positions] = rows @ unit / np.maximum(np.linalg.norm(rows, axis=1), TINY)
    return cosines
