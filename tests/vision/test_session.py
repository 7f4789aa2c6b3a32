"""A session, with a tiny network, real images and stores of two kinds: real ones and counting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import ImageError, WeightsError
from backend.vision import (
    ADAM,
    BackboneSpec,
    FeatureStores,
    LabeledImages,
    TrainingConfig,
    VisionConfig,
    VisionSession,
)
from backend.vision import activations as activations_module
from backend.vision.heads import AUTO, KINDS, fit_head
from model_store.checkpoints import load_checkpoint, save_checkpoint
from model_store.embeddings import EmbeddingStore
from tests.vision.tiny import (
    CountingLoader,
    decode_image,
    encoded_image,
    image_keys,
    new_tiny_vit,
    reference_embedding,
    save_with_card,
)

MODES = ["head", "blocks:2", "full"]
KEYS = image_keys(40)
LABELS = np.arange(40) % 2  # dark and bright, see CountingLoader


def silent(done: int, total: int) -> None:
    pass


def open_session(
    path: Path,
    mode: str = "blocks:2",
    limit_gib: float = 1.0,
    head: str = AUTO,
    **training: float,
) -> VisionSession:
    config = VisionConfig(
        BackboneSpec("not_used", path, feature_blocks=3),
        finetune=mode,
        device="cpu",
        training=TrainingConfig(**{"block_lr": 1e-3, "head_lr": 1e-2, **training}),
        activation_limit_gib=limit_gib,
        head=head,
    )
    return VisionSession.open(config)


@pytest.fixture
def stores(tmp_path: Path) -> FeatureStores:
    return FeatureStores(
        EmbeddingStore(tmp_path / "embeddings"), EmbeddingStore(tmp_path / "activations", "float16")
    )


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part every 8 images instead of 1024."""
    monkeypatch.setattr(activations_module, "PART_ROWS", 8)
    monkeypatch.setattr(activations_module, "batch_size_for", lambda image_px: 4)


@pytest.mark.parametrize("mode", MODES)
def test_embed_pool_stores_timms_features_when_the_network_is_pretrained(
    mode: str, weights_path: Path, tiny_vit: torch.nn.Module, stores: FeatureStores
) -> None:
    session = open_session(weights_path, mode)
    network = session.pretrained()
    report = session.embed_pool(network, KEYS, CountingLoader(), stores, silent)
    pixels = torch.stack(
        [
            session.preprocessing.pixels(
                decode_image(encoded_image(n, brightness=60 if n % 2 == 0 else 190))
            )
            for n in range(len(KEYS))
        ]
    )
    expected = reference_embedding(tiny_vit, pixels, feature_blocks=3).numpy()
    stored = stores.embeddings.read(network.version, KEYS)
    assert report.computed == len(KEYS)
    # blocks:n hands its activations on in float16
    np.testing.assert_allclose(stored, expected, atol=0.02 if mode == "blocks:2" else 1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_embed_pool_computes_only_what_is_missing_when_it_was_interrupted(
    mode: str, weights_path: Path, stores: FeatureStores, small_parts: None
) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > 22:
            raise Killed

    session = open_session(weights_path, mode)
    network = session.pretrained()
    with pytest.raises(Killed):
        session.embed_pool(network, KEYS, CountingLoader(), stores, kill)
    written = set(KEYS) - set(stores.embeddings.missing(network.version, KEYS))
    assert len(written) >= 16

    load = CountingLoader()
    report = session.embed_pool(network, KEYS, load, stores, silent)
    assert report.computed == len(KEYS) - len(written)
    assert not written & set(load.loaded)
    assert len(load.loaded) == len(set(load.loaded)) <= report.computed
    assert stores.embeddings.missing(network.version, KEYS) == []

    again = CountingLoader()
    assert session.embed_pool(network, KEYS, again, stores, silent).computed == 0
    assert again.loaded == []


def test_embed_pool_reports_progress_and_unreadable_images(
    weights_path: Path, stores: FeatureStores
) -> None:
    session, progress = open_session(weights_path), []
    load = CountingLoader(broken=lambda key: key == KEYS[3])
    report = session.embed_pool(
        session.pretrained(), [*KEYS, KEYS[0]], load, stores, lambda *step: progress.append(step)
    )
    assert set(report.unreadable) == {KEYS[3]}
    assert report.computed == len(KEYS) - 1
    assert progress[0] == (0, len(KEYS))
    assert progress[-1] == (len(KEYS), len(KEYS))
    assert progress == sorted(progress)
    assert stores.embeddings.missing(session.pretrained().version, KEYS) == [KEYS[3]]


def test_embed_pool_leaves_the_trunk_alone_when_activations_are_kept(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "blocks:2")
    session.embed_pool(session.pretrained(), KEYS, CountingLoader(), stores, silent)
    load = CountingLoader()
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, load, stores, silent)
    session.embed_pool(trained.network, KEYS, load, stores, silent)
    assert load.loaded == []
    assert stores.embeddings.missing(trained.network.version, KEYS) == []


def test_embed_pool_keeps_no_activations_when_they_are_over_the_limit(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "blocks:2", limit_gib=1e-9)
    session.embed_pool(session.pretrained(), KEYS, CountingLoader(), stores, silent)
    assert stores.activations.versions() == []
    assert stores.embeddings.missing(session.pretrained().version, KEYS) == []


@pytest.mark.parametrize("mode", MODES)
def test_train_learns_and_leaves_the_pretrained_network_alone(
    mode: str, weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, mode)
    before = [session.embed_now(session.pretrained(), KEYS[:4], CountingLoader()).embeddings]
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, CountingLoader(), stores, silent)
    after = session.embed_now(session.pretrained(), KEYS[:4], CountingLoader()).embeddings
    np.testing.assert_array_equal(after, before[0])
    assert trained.report.train_accuracy > 0.99
    others = image_keys(60)[40:]
    found = session.embed_now(trained.network, others, CountingLoader())
    probabilities = trained.network.head.probabilities(found.embeddings)
    assert (probabilities.argmax(axis=1) == np.arange(20) % 2).mean() > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_train_gives_equal_networks_when_seed_and_labels_are_equal(
    mode: str, weights_path: Path, stores: FeatureStores, tmp_path: Path
) -> None:
    """Whether the activations were kept or not."""
    session = open_session(weights_path, mode, head=ADAM, epoch_limit=2)
    session.embed_pool(session.pretrained(), KEYS[10:], CountingLoader(), stores, silent)
    nothing_kept = FeatureStores(EmbeddingStore(tmp_path / "empty"), None)
    labeled = LabeledImages(KEYS, LABELS)
    first = session.train(labeled, 2, 7, CountingLoader(), stores, silent)
    second = session.train(labeled, 2, 7, CountingLoader(), nothing_kept, silent)
    other = session.train(labeled, 2, 8, CountingLoader(), stores, silent)
    for name, value in first.tensors.items():
        torch.testing.assert_close(value, second.tensors[name], atol=1e-5, rtol=1e-4)
    assert not torch.equal(first.tensors["head.weight"], other.tensors["head.weight"])
    repeated = session.train(labeled, 2, 7, CountingLoader(), stores, silent)
    for name, value in first.tensors.items():
        assert torch.equal(value, repeated.tensors[name])
    assert repeated.network.version == first.network.version


def test_features_version_stays_when_only_the_head_trains(
    weights_path: Path, stores: FeatureStores
) -> None:
    labeled = LabeledImages(KEYS, LABELS)
    versions = {}
    for mode in MODES:
        session = open_session(weights_path, mode, epoch_limit=1)
        trained = [
            session.train(labeled, 2, seed, CountingLoader(), stores, silent) for seed in (0, 1)
        ]
        versions[mode] = [session.pretrained().version, *(t.network.version for t in trained)]
    assert len(set(versions["head"])) == 1
    assert len(set(versions["blocks:2"])) == 3
    assert len(set(versions["full"])) == 3
    assert versions["head"][0] == versions["blocks:2"][0]


def test_train_leaves_out_and_reports_images_that_cannot_be_read(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "head")
    load = CountingLoader(broken=lambda key: key in KEYS[:30])
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, load, stores, silent)
    only_readable = session.train(LabeledImages(KEYS[30:], LABELS[30:]), 2, 0, load, stores, silent)
    assert set(trained.report.unreadable) == set(KEYS[:30])
    for name, value in trained.tensors.items():
        assert torch.equal(value, only_readable.tensors[name])


def test_train_raises_when_no_labeled_image_can_be_read(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path)
    load = CountingLoader(broken=lambda key: True)
    with pytest.raises(ImageError, match="none of 40 labeled images"):
        session.train(LabeledImages(KEYS, LABELS), 2, 0, load, stores, silent)


@pytest.mark.parametrize("head", [ADAM, *KINDS])
def test_train_uses_both_labels_when_two_tasks_show_one_image(
    head: str, weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "head", head=head, epoch_limit=200, head_lr=0.1)
    labeled = LabeledImages([KEYS[0], KEYS[0]], np.array([0, 1]))
    trained = session.train(labeled, 2, 0, CountingLoader(), stores, silent)
    embedding = session.embed_now(trained.network, KEYS[:1], CountingLoader()).embeddings
    # one image of two classes: cross-entropy is least where both have probability 1/2
    np.testing.assert_allclose(trained.network.head.probabilities(embedding), 0.5, atol=0.01)


@pytest.mark.parametrize("mode", MODES)
def test_restore_gives_the_trained_network_when_the_session_is_another(
    mode: str, weights_path: Path, stores: FeatureStores, tmp_path: Path
) -> None:
    session = open_session(weights_path, mode, epoch_limit=2)
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, CountingLoader(), stores, silent)
    path = save_checkpoint(tmp_path, "r1", trained.tensors, trained.card)
    checkpoint = load_checkpoint(path)
    other_session = open_session(weights_path, "blocks:1")  # the setting has changed meanwhile
    network = other_session.restore(checkpoint.tensors, checkpoint.card)
    assert network.version == trained.network.version
    expected = session.embed_now(trained.network, KEYS[:5], CountingLoader())
    found = other_session.embed_now(network, KEYS[:5], CountingLoader())
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)
    np.testing.assert_array_equal(network.head.weight, trained.network.head.weight)


@pytest.mark.parametrize("mode", MODES)
def test_restore_gives_the_version_and_head_when_only_a_head_was_fitted(
    mode: str, weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, mode)
    network = session.pretrained()
    session.embed_pool(network, KEYS, CountingLoader(), stores, silent)
    embeddings = stores.embeddings.read(network.version, KEYS)
    fitted = session.fit_head(network, embeddings, LABELS, 2, seed=3)
    assert fitted.report.train_accuracy > 0.99
    restored = session.restore(fitted.tensors, fitted.card)
    assert restored.version == fitted.network.version == network.version
    found = session.embed_now(restored, KEYS, CountingLoader()).embeddings
    np.testing.assert_allclose(found, embeddings, atol=1e-4)
    np.testing.assert_array_equal(restored.head.logits(found), fitted.head.logits(found))


@pytest.mark.parametrize("head", [ADAM, AUTO, *KINDS])
def test_fit_head_equals_train_when_only_the_head_trains(
    head: str, weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "head", head=head, epoch_limit=3)
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 5, CountingLoader(), stores, silent)
    embeddings = stores.embeddings.read(trained.network.version, KEYS)
    fitted = session.fit_head(session.pretrained(), embeddings, LABELS, 2, seed=5)
    np.testing.assert_array_equal(fitted.head.weight, trained.head.weight)
    np.testing.assert_array_equal(fitted.head.bias, trained.head.bias)
    assert fitted.card.keys() == trained.card.keys()


@pytest.mark.parametrize("mode", ["blocks:2", "full"])
def test_train_fits_the_head_anew_on_the_tuned_embeddings(
    mode: str, weights_path: Path, stores: FeatureStores
) -> None:
    labeled = LabeledImages(KEYS, LABELS)
    by_steps, chosen = (
        open_session(weights_path, mode, head=head, epoch_limit=2).train(
            labeled, 2, 3, CountingLoader(), stores, silent
        )
        for head in (ADAM, AUTO)
    )
    assert chosen.network.version == by_steps.network.version
    assert by_steps.report.head is None
    assert chosen.report.epochs == by_steps.report.epochs > 0
    session = open_session(weights_path, mode)
    embeddings = session.embed_now(chosen.network, KEYS, CountingLoader()).embeddings
    expected = fit_head(embeddings, LABELS, 2, AUTO, np.random.default_rng(3))
    assert chosen.report.head.kind == expected.report.kind
    assert chosen.report.head.held_out == len(KEYS)
    expected_logits = embeddings @ expected.weight.T + expected.bias
    found = chosen.head.logits(embeddings)
    np.testing.assert_allclose(found, expected_logits, atol=0.05 * np.abs(found).max())


def test_fit_head_reports_accuracy_and_loss_on_its_labels_and_on_labels_left_out(
    weights_path: Path,
) -> None:
    session = open_session(weights_path, "head")
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, session.embedding_dim)).astype(np.float32)
    fitted = session.fit_head(session.pretrained(), embeddings, LABELS, 2, seed=0)
    probabilities = fitted.head.probabilities(embeddings)
    report = fitted.report
    assert report.epochs == 0
    assert report.train_accuracy == np.mean(probabilities.argmax(axis=1) == LABELS)
    assert report.loss == pytest.approx(-np.log(probabilities[range(40), LABELS]).mean(), rel=1e-4)
    assert report.head.accuracy < report.train_accuracy
    assert fitted.card["head"] == AUTO
    assert json.loads(json.dumps(fitted.card))["training"]["head"]["kind"] == report.head.kind


def test_restore_reads_a_checkpoint_of_a_release_with_one_kind_of_head(
    weights_path: Path, tmp_path: Path
) -> None:
    session = open_session(weights_path, "head")
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, session.embedding_dim)).astype(np.float32)
    fitted = session.fit_head(session.pretrained(), embeddings, LABELS, 2, seed=0)
    training = {
        key: fitted.card["training"][key] for key in fitted.card["training"] if key != "head"
    }
    card = {key: value for key, value in fitted.card.items() if key != "head"}
    card["training"] = training
    found = load_checkpoint(save_checkpoint(tmp_path, "old", fitted.tensors, card))
    restored = session.restore(found.tensors, found.card)
    np.testing.assert_array_equal(restored.head.weight, fitted.head.weight)


def test_checkpoint_holds_the_trained_part_only(weights_path: Path, stores: FeatureStores) -> None:
    labeled = LabeledImages(KEYS, LABELS)
    tensors: Callable[[str], set[str]] = lambda mode: set(  # noqa: E731
        open_session(weights_path, mode, epoch_limit=1)
        .train(labeled, 2, 0, CountingLoader(), stores, silent)
        .tensors
    )
    assert tensors("head") == {"head.weight", "head.bias"}
    parts = {name.rsplit(".", 3)[0] for name in tensors("blocks:2") if ".attn.qkv." in name}
    assert parts == {"tail.blocks.blocks.0", "tail.last"}


def test_restore_raises_when_the_checkpoint_is_of_another_backbone(
    weights_path: Path, stores: FeatureStores, tmp_path: Path
) -> None:
    session = open_session(weights_path, "head", epoch_limit=1)
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, CountingLoader(), stores, silent)
    changed = new_tiny_vit(init_values=0.5)
    other = save_with_card(changed, tmp_path / "other.safetensors", init_values=0.5)
    with pytest.raises(WeightsError, match="trained on backbone"):
        open_session(other, "head").restore(trained.tensors, trained.card)


def test_restore_raises_when_tensors_do_not_fit_the_card(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path, "blocks:2", epoch_limit=1)
    trained = session.train(LabeledImages(KEYS, LABELS), 2, 0, CountingLoader(), stores, silent)
    with pytest.raises(WeightsError, match="do not fit"):
        session.restore(trained.tensors, {**trained.card, "finetune": "blocks:1"})


def test_embed_now_equals_embed_pool_and_writes_nothing(
    weights_path: Path, stores: FeatureStores
) -> None:
    session = open_session(weights_path)
    network = session.pretrained()
    load = CountingLoader(broken=lambda key: key == KEYS[1])
    found = session.embed_now(network, KEYS[:4], load)
    assert stores.embeddings.versions() == []
    assert found.image_keys == [KEYS[0], KEYS[2], KEYS[3]]
    assert set(found.unreadable) == {KEYS[1]}
    session.embed_pool(network, found.image_keys, CountingLoader(), stores, silent)
    stored = stores.embeddings.read(network.version, found.image_keys)
    np.testing.assert_allclose(found.embeddings, stored, atol=1e-5)


def test_embed_now_has_no_rows_when_no_image_can_be_read(weights_path: Path) -> None:
    session = open_session(weights_path)
    found = session.embed_now(
        session.pretrained(), KEYS[:2], CountingLoader(broken=lambda key: True)
    )
    assert found.embeddings.shape == (0, session.embedding_dim)


def test_embeddings_are_float32s_up_to_rounding_when_the_processor_has_bfloat16(
    weights_path: Path, stores: FeatureStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(weights_path, "head")
    network = session.pretrained()
    expected = session.embed_now(network, KEYS, CountingLoader()).embeddings
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    rounded = session.embed_now(network, KEYS, CountingLoader()).embeddings
    assert rounded.dtype == np.float32
    assert not np.array_equal(rounded, expected)
    # bfloat16 keeps 8 bits: steps of 0.4 %, through three blocks and a norm
    np.testing.assert_allclose(rounded, expected, atol=0.05)
