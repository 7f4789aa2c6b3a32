"""Several strategies on one learner, step by step: what two of them need is trained once."""

from __future__ import annotations

import numpy as np

from backend.replay.protocol import Fit, Learner


class SharedFits:
    """A learner that remembers the fits of the current seed, which names run and round.

    The first batch is the same for all strategies of a run, and `auto` often asks for the same
    labels as the strategy that it stands for. For runs that go on side by side: a round of each,
    then the next. For learners only that start anew every round.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._seed: int | None = None
        self._fits: dict[bytes, Fit] = {}

    def untrained(self) -> np.ndarray:
        """The learner's embeddings of the pool before any label."""
        return self._learner.untrained()

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        """The learner's fit; at once where it is the same as one before."""
        if seed != self._seed:
            self._seed, self._fits = seed, {}
        key = rows.tobytes()
        if key not in self._fits:
            self._fits[key] = self._learner.fit(rows, labels, seed, previous)
        return self._fits[key]
