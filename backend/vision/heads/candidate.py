"""What a kind of head is given, and what it answers.

Legend of this package: L labeled, H labels that can be held out, D embedding, R coordinates,
K classes, P of them with a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Labeled:
    """rows: (L, R) of `Coordinates`. labels: (L,) int64 in [0, P), each at least once."""

    rows: np.ndarray
    labels: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """(P,) labels of each class."""
        return np.bincount(self.labels)

    @cached_property
    def held_out(self) -> np.ndarray:
        """(H,) rows that can be left out: those whose class has another label."""
        return np.flatnonzero(self.counts[self.labels] > 1)

    @cached_property
    def means(self) -> np.ndarray:
        """(P, R) class means."""
        sums = np.zeros((len(self.counts), self.rows.shape[1]))
        np.add.at(sums, self.labels, self.rows)
        return sums / self.counts[:, None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A fitted head, and what it says of labels that it was fitted without.

    strength: of its pull toward what is simple, 1 where it is best expected.
    weight, bias: (P, R) and (P,) on coordinates.
    held_out: (H, P) logits of `Labeled.held_out`, each from a fit without that label.
    """

    strength: float
    weight: np.ndarray
    bias: np.ndarray
    held_out: np.ndarray
