"""The backend's own network as a learner, tiny, on dark and bright images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.acquisition.rule import Rule
from backend.errors import ImageError
from backend.replay import (
    Fit,
    Plan,
    SessionLearner,
    SharedFits,
    Truth,
    memory_stores,
    readable,
    replay,
)
from backend.vision import BackboneSpec, LabeledImages, TrainingConfig, VisionConfig, VisionSession
from model_store.embeddings import EmbeddingStore
from tests.vision.tiny import CountingLoader, image_keys, new_tiny_vit, save_with_card

KEYS = image_keys(40)
POOL, TEST = KEYS[:24], KEYS[24:]
LABELS = np.arange(40) % 2  # dark and bright, see CountingLoader
TRUTH = Truth(LABELS[:24], LABELS[24:], 2)

OpenSession = Callable[[str], VisionSession]


@pytest.fixture
def open_session(tmp_path: Path) -> OpenSession:
    weights = save_with_card(new_tiny_vit(), tmp_path / "tiny.safetensors")

    def opened(finetune: str) -> VisionSession:
        training = TrainingConfig(epoch_limit=15, head_lr=1e-2, block_lr=1e-3)
        spec = BackboneSpec("not_used", weights, feature_blocks=3)
        return VisionSession.open(VisionConfig(spec, finetune, "cpu", training))

    return opened


@pytest.mark.parametrize("finetune", ["head", "blocks:1"])
def test_fit_is_what_a_live_round_trains_and_embeds(
    finetune: str, open_session: OpenSession, tmp_path: Path
) -> None:
    session, rows = open_session(finetune), np.array([3, 0, 7, 12, 5])
    learner = SessionLearner(session, POOL, TEST, 2, CountingLoader(), memory_stores())

    fit = learner.fit(rows, TRUTH.labels[rows], seed=5, previous=None)

    stores = memory_stores()
    labeled = LabeledImages([POOL[row] for row in rows], TRUTH.labels[rows])
    network = session.train(labeled, 2, 5, CountingLoader(), stores, lambda *_: None).network
    disk = EmbeddingStore(tmp_path / "rows")
    live = session.embed_now(network, KEYS, CountingLoader())
    disk.write_part(network.version, live.image_keys, live.embeddings)
    np.testing.assert_allclose(fit.embeddings, disk.read(network.version, POOL), atol=2e-3)
    np.testing.assert_array_equal(fit.head.weight, network.head.weight)
    tested = network.head.logits(disk.read(network.version, TEST)).argmax(axis=1)
    np.testing.assert_array_equal(fit.predictions, tested)


@pytest.mark.parametrize("finetune", ["head", "blocks:1"])
def test_replay_learns_dark_from_bright_and_reads_every_image_once(
    finetune: str, open_session: OpenSession
) -> None:
    load = CountingLoader()
    learner = SessionLearner(open_session(finetune), POOL, TEST, 2, load, memory_stores())

    rule = Rule("alfa-mix", "maxherding", 0.2)
    rounds = list(replay(learner, TRUTH, Plan(4, 4, 3), rule, seed=1))

    assert [row.n_labeled for row in rounds] == [4, 8, 12, 16]
    assert rounds[-1].accuracy >= 0.9
    assert sorted(load.loaded) == KEYS


def test_fit_leaves_no_embeddings_of_its_network_behind(open_session: OpenSession) -> None:
    session, stores = open_session("blocks:1"), memory_stores()
    learner = SessionLearner(session, POOL, TEST, 2, CountingLoader(), stores)
    before = learner.untrained()

    learner.fit(np.arange(4), TRUTH.labels[:4], 0, None)

    labeled = LabeledImages(POOL[:4], TRUTH.labels[:4])
    network = session.train(labeled, 2, 0, CountingLoader(), stores, lambda *_: None).network
    assert network.version != session.pretrained().version
    assert stores.embeddings.missing(network.version, KEYS) == KEYS
    np.testing.assert_array_equal(learner.untrained(), before)


def test_readable_names_the_images_that_are_not(open_session: OpenSession) -> None:
    load = CountingLoader(broken=lambda key: key in KEYS[2:4])
    session, stores, heard = open_session("head"), memory_stores(), []

    reasons = readable(session, KEYS, load, stores, lambda *done: heard.append(done))

    assert sorted(reasons) == KEYS[2:4]
    assert heard[-1] == (40, 40)
    with pytest.raises(ImageError, match="2 images cannot be read"):
        SessionLearner(session, POOL, TEST, 2, load, stores)


class CountingLearner:
    """Counts its fits."""

    def __init__(self) -> None:
        self.count = 0

    def untrained(self) -> np.ndarray:
        return np.zeros((3, 2), np.float32)

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        self.count += 1
        return Fit(np.full((3, 2), self.count, np.float32), None, np.zeros(1))


def test_shared_fits_train_once_for_the_same_rows_and_seed() -> None:
    learner = CountingLearner()
    shared = SharedFits(learner)

    def fit(*rows: int, seed: int) -> Fit:
        return shared.fit(np.array(rows), np.zeros(len(rows)), seed, None)

    first = fit(0, 1, seed=1)
    assert fit(0, 1, seed=1) is first
    assert fit(1, 0, seed=1) is not first
    assert fit(0, 1, seed=2) is not first
    assert learner.count == 3
    np.testing.assert_array_equal(shared.untrained(), learner.untrained())
