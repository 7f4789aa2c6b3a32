"""A store of rows that lasts as long as the process: a replay writes nothing into MODEL_DIR."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from backend.errors import StoreError


class MemoryRows:
    """The contract of `model_store.embeddings.EmbeddingStore`, in memory."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, np.ndarray]] = defaultdict(dict)

    def missing(self, version: str, keys: Sequence[str]) -> list[str]:
        """Those of `keys` without a row, each once, in order."""
        return [key for key in dict.fromkeys(keys) if key not in self._rows[version]]

    def write_part(self, version: str, keys: Sequence[str], rows: np.ndarray) -> None:
        """Keep copies of (N, D) rows, one a key. StoreError: they do not fit each other."""
        if rows.ndim != 2 or len(keys) != len(rows) or len(set(keys)) != len(keys):
            raise StoreError(
                f"a part needs one row for each of its distinct keys; "
                f"got {len(set(keys))} distinct of {len(keys)} keys and rows {rows.shape}"
            )
        self._rows[version].update(zip(keys, np.array(rows), strict=True))

    def read(self, version: str, keys: Sequence[str]) -> np.ndarray:
        """The rows of `keys` in their order. StoreError: one has none."""
        kept = self._rows[version]
        without = [key for key in keys if key not in kept]
        if without:
            raise StoreError(
                f"{len(without)} of {len(keys)} images have no row of version {version} in memory, "
                f"the first is {without[0]}; embed them first"
            )
        return np.stack([kept[key] for key in keys]) if len(keys) else np.empty((0, 0), np.float32)

    def size_bytes(self, version: str) -> int:
        """The memory that the version's rows take."""
        return sum(row.nbytes for row in self._rows[version].values())

    def drop_version(self, version: str) -> None:
        """Forget the version's rows."""
        self._rows.pop(version, None)
