"""The class and probability that a round's network gives each image: what `/predict` answers from.

Legend: N images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model_store.project_folder import read_table, write_table


@dataclass(frozen=True, eq=False)
class Scores:
    """Class index and probability by image key."""

    image_keys: np.ndarray  # (N,) str, 32 hex digits
    labels: np.ndarray  # (N,) int32
    probabilities: np.ndarray  # (N,) float32

    @classmethod
    def of(cls, image_keys: np.ndarray, probabilities: np.ndarray) -> Scores:
        """The scores of (N,) keys by their (N, K) class probabilities."""
        labels = probabilities.argmax(axis=1).astype(np.int32)
        return cls(image_keys, labels, probabilities.max(axis=1).astype(np.float32))

    def sorted(self) -> Scores:
        """The same scores in the order of their keys, as `get` needs them."""
        order = np.argsort(self.image_keys)
        return Scores(self.image_keys[order], self.labels[order], self.probabilities[order])

    def get(self, key: str) -> tuple[int, float] | None:
        """Class index and probability of one image, None where it has none."""
        row = int(np.searchsorted(self.image_keys, key))
        if row == len(self.image_keys) or self.image_keys[row] != key:
            return None
        return int(self.labels[row]), float(self.probabilities[row])


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores, whole or not at all. StoreError: the file cannot be written."""
    columns = {
        "image_key": scores.image_keys.tolist(),
        "label": scores.labels,
        "probability": scores.probabilities,
    }
    write_table(path, columns)


def read_scores(path: Path) -> Scores:
    """Scores that `write_scores` wrote, sorted. StoreError: missing or damaged."""
    table = read_table(path)
    keys = np.array(table["image_key"].to_pylist(), dtype="U32")
    labels, probabilities = table["label"].to_numpy(), table["probability"].to_numpy()
    return Scores(keys, labels, probabilities).sorted()
