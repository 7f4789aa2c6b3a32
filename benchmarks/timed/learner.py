"""The backend's own network with its two speeds, on real images.

Legend: N pool images, T test images, L labeled, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from backend.replay import Truth, memory_stores
from backend.vision import (
    ADAM,
    BackboneSpec,
    FeatureStores,
    LabeledImages,
    LinearHead,
    Loader,
    Network,
    VisionConfig,
    VisionSession,
)
from benchmarks.curves.data import Data, DataError, load
from benchmarks.curves.drawing import TEST_SEED, drawn_rows
from benchmarks.timed.desk import Embedded
from benchmarks.timed.settings import Setting
from model_store.embeddings import EmbeddingStore


@dataclass(frozen=True)
class Place:
    """Where things are. features: what backbones that do not ship made of images, kept."""

    data: Path
    features: Path
    weights: Path | None


class SessionNetworks:
    """A session's `train`, `embed_pool` and `fit_head`; equal trainings are done once."""

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
        self._pool_keys, self._test_keys = list(pool_keys), list(test_keys)
        self._num_classes = num_classes
        self._load, self._stores = load, stores
        self._tuned: dict[tuple[bytes, int], Embedded] = {}
        self._pretrained = self._embedded(session.pretrained(), None)

    def pretrained(self) -> Embedded:
        """The images before any label."""
        return self._pretrained

    def tune(self, rows: np.ndarray, labels: np.ndarray, seed: int) -> Embedded:
        """The images after fine-tuning on (L,) pool rows, from the pre-trained weights."""
        key = rows.tobytes(), seed
        if key not in self._tuned:
            labeled = LabeledImages([self._pool_keys[row] for row in rows], labels)
            trained = self._session.train(
                labeled, self._num_classes, seed, self._load, self._stores, _unheard
            )
            self._tuned[key] = self._embedded(trained.network, trained.head)
            self._stores.embeddings.drop_version(trained.network.version)
        return self._tuned[key]

    def fit_head(
        self, embedded: Embedded, rows: np.ndarray, labels: np.ndarray, seed: int
    ) -> LinearHead:
        """A head fitted anew on the embeddings of (L,) pool rows, as every round does."""
        network = self._session.pretrained()  # the head does not ask whose embeddings these are
        embeddings = embedded.embeddings[rows]
        return self._session.fit_head(network, embeddings, labels, self._num_classes, seed).head

    def _embedded(self, network: Network, head: LinearHead | None) -> Embedded:
        keys = [*self._pool_keys, *self._test_keys]
        self._session.embed_pool(network, keys, self._load, self._stores, _unheard)
        read = partial(self._stores.embeddings.read, network.version)
        return Embedded(read(self._pool_keys), read(self._test_keys), head)


@lru_cache(maxsize=1)
def networks_and_truth(
    data_name: str,
    finetune: str,
    pool: int | None,
    test: int | None,
    backbone: str,
    image_px: int | None,
    seed: int,
    place: Place,
) -> tuple[SessionNetworks, Truth]:
    """One seed's images and hidden labels; kept for the next setting of the same.

    DataError, WeightsError: the data or the weights are not there.
    """
    data, session = _data(data_name, place.data), _session(backbone, image_px, finetune, place)
    pool_rows = drawn_rows(len(data.train.labels), pool, np.random.default_rng([seed, 1]))
    test_rows = drawn_rows(len(data.test.labels), test, np.random.default_rng(TEST_SEED))
    keys = [f"train/{row}" for row in pool_rows], [f"test/{row}" for row in test_rows]
    read, num_classes = partial(_read, data), len(data.classes)
    stores = memory_stores()
    if backbone != "bundled":
        stores = FeatureStores(EmbeddingStore(place.features / f"timed-{data_name}"), None)
    found = SessionNetworks(session, *keys, num_classes, read, stores)
    return found, Truth(data.train.labels[pool_rows], data.test.labels[test_rows], num_classes)


def stage(setting: Setting, seed: int, place: Place) -> tuple[SessionNetworks, Truth]:
    """A setting's networks and hidden labels. Errors as `networks_and_truth`."""
    images = (setting.pool, setting.test, setting.backbone, setting.image_px)
    return networks_and_truth(setting.data, setting.finetune, *images, seed, place)


@lru_cache(maxsize=1)
def _data(name: str, root: Path) -> Data:
    return load(name, root)


@lru_cache(maxsize=1)
def _session(backbone: str, image_px: int | None, finetune: str, place: Place) -> VisionSession:
    is_bundled = backbone == "bundled"
    if not is_bundled and place.weights is None:
        raise DataError(f"needed is --weights FILE with the weights of {backbone}; none was given")
    spec = BackboneSpec(backbone, None if is_bundled else place.weights, image_px)
    # the head of all rows so far: they stay comparable
    return VisionSession.open(VisionConfig(spec, finetune, "cpu", head=ADAM))


def _read(data: Data, key: str) -> bytes:
    name, _, row = key.partition("/")
    images = (data.train if name == "train" else data.test).images
    if images is None:
        raise DataError("a ViT needs images; found rows of numbers")
    return images.read(int(row))


def _unheard(_done: int, _total: int) -> None:
    """Runs are the unit."""
