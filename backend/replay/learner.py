"""The backend's own network as a learner: a replay trains what a round trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.errors import ImageError
from backend.replay.memory_rows import MemoryRows
from backend.replay.protocol import Fit
from backend.vision import (
    FeatureStores,
    LabeledImages,
    LinearHead,
    Loader,
    Network,
    Progress,
    VisionSession,
)


class SessionLearner:
    """Trains a session's network from its pre-trained weights in every round.

    All images must be readable: leave others out before, with `readable`.
    """

    def __init__(
        self,
        session: VisionSession,
        pool_keys: Sequence[str],
        test_keys: Sequence[str],
        num_classes: int,
        load: Loader,
        stores: FeatureStores,
    ) -> None:
        self._session = session
        self._pool_keys = list(pool_keys)
        self._test_keys = list(test_keys)
        self._num_classes = num_classes
        self._load = load
        self._stores = stores
        self._embedded(session.pretrained())

    def untrained(self) -> np.ndarray:
        """(N, D) float32 embeddings of the pre-trained network."""
        version = self._session.pretrained().version
        return self._stores.embeddings.read(version, self._pool_keys)

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        """The network trained on the pool images `rows`; `previous` plays no part."""
        labeled = LabeledImages([self._pool_keys[row] for row in rows], labels)
        trained = self._session.train(
            labeled, self._num_classes, seed, self._load, self._stores, _unheard
        )
        version = trained.network.version
        embeddings, test_embeddings = self._embedded(trained.network)
        if version != self._session.pretrained().version:
            self._stores.embeddings.drop_version(version)
        head = LinearHead.from_tensors(trained.tensors)
        return Fit(embeddings, head, head.logits(test_embeddings).argmax(axis=1))

    def _embedded(self, network: Network) -> tuple[np.ndarray, np.ndarray]:
        """(N, D) and (T, D) embeddings."""
        keys = [*self._pool_keys, *self._test_keys]
        report = self._session.embed_pool(network, keys, self._load, self._stores, _unheard)
        if report.unreadable:
            key, reason = next(iter(report.unreadable.items()))
            raise ImageError(f"{len(report.unreadable)} images cannot be read; {key}: {reason}")
        store = self._stores.embeddings
        return store.read(network.version, self._pool_keys), store.read(
            network.version, self._test_keys
        )


def memory_stores() -> FeatureStores:
    """Stores that end with the process."""
    return FeatureStores(MemoryRows(), MemoryRows())


def _unheard(done: int, total: int) -> None:
    """Progress inside a round is nobody's business: rounds are the unit."""


def readable(
    session: VisionSession,
    keys: Sequence[str],
    load: Loader,
    stores: FeatureStores,
    on_progress: Progress = _unheard,
) -> dict[str, str]:
    """Embed `keys` with the pre-trained network; return the reason for each that cannot be."""
    return session.embed_pool(session.pretrained(), keys, load, stores, on_progress).unreadable
