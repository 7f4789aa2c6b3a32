"""The choice among heads: what brute force picks, for whatever labels a round may have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from backend.errors import SettingsError
from backend.settings import Settings
from backend.vision import ADAM
from backend.vision.heads import AUTO, KINDS, FittedHead, choice, fit_head, held_out_answers
from backend.vision.heads.calibration import temperature
from backend.vision.heads.candidate import Labeled
from backend.vision.heads.choice import CHOSEN_FROM, LEAST_A_CLASS
from backend.vision.heads.coordinates import Coordinates
from tests.vision.heads.blobs import blobs

EVERY = [AUTO, *KINDS]


def fit(
    embeddings: np.ndarray, labels: np.ndarray, num_classes: int, kind: str = AUTO, seed: int = 0
) -> FittedHead:
    return fit_head(embeddings, labels, num_classes, kind, np.random.default_rng(seed))


def logits_of(head: FittedHead, embeddings: np.ndarray) -> np.ndarray:
    return embeddings.astype(np.float32) @ head.weight.T + head.bias


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return -float(log_softmax(logits.astype(float), axis=1)[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("kind", ["lda", "ridge"])
def test_strength_is_that_of_brute_force(kind: str) -> None:
    """Each label left out by a fit of its own: the most likely strength with its prior."""
    embeddings, labels = blobs((6, 5, 4), dimension=12, distance=0.6)
    data = Labeled(Coordinates.of(embeddings).rows, labels)
    posteriors = {}
    for one in KINDS[kind](data, np.random.default_rng(0)):
        chances = log_softmax(one.held_out / temperature(one.held_out, labels), axis=1)
        likelihood = sum(chances[row, label] for row, label in enumerate(labels))
        posteriors[one.strength] = likelihood - np.log(one.strength) ** 2 / 8
    found = fit(embeddings, labels, 3, kind).report
    assert found.strength == max(posteriors, key=posteriors.get)
    assert found.held_out == 15


@pytest.mark.parametrize("kind", ["lda", "ridge", "means"])
def test_held_out_answers_are_those_of_fits_without_the_label(kind: str) -> None:
    """Each label left out by a fit of its own, at the strength that was chosen; classes 3, 5, 8."""
    embeddings, positions = blobs((6, 5, 1), dimension=12, distance=0.6)
    labels = np.array([3, 5, 8])[positions]
    found = held_out_answers(embeddings, labels, kind, np.random.default_rng(0))
    report = fit(embeddings, labels, 9, kind).report
    data = Labeled(Coordinates.of(embeddings).rows, positions)
    chosen = next(
        one
        for one in KINDS[kind](data, np.random.default_rng(0))
        if one.strength == report.strength
    )
    expected = [np.array([3, 5, 8])[one.argmax()] for one in chosen.held_out]
    assert found.kind == kind
    assert found.rows.tolist() == np.flatnonzero(labels != 8).tolist()
    assert found.predicted.tolist() == expected
    assert np.mean(found.predicted == labels[found.rows]) == report.accuracy


def test_auto_takes_the_kind_that_is_clearly_more_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    # a far part of a class moves its mean, and LDA's boundary with it, past the near part
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 1], [200, 100, 100])
    embeddings = rng.normal(size=(400, 3))
    embeddings[:, 0] += np.repeat([-3, 3, 60], [200, 100, 100])
    data = Labeled(Coordinates.of(embeddings).rows, labels)
    likelihoods = {}
    for kind in CHOSEN_FROM:
        found = [
            log_softmax(one.held_out / temperature(one.held_out, labels), axis=1)[
                np.arange(400), labels
            ]
            for one in KINDS[kind](data, np.random.default_rng(0))
        ]
        likelihoods[kind] = max(found, key=np.sum)
    gain = likelihoods["logistic"] - likelihoods["lda"]
    assert gain.mean() > 3 * gain.std() / 20, "the example is one"
    assert fit(embeddings, labels, 2).report.kind == "logistic"
    # 400 labels of 3 coordinates and 2 classes: one less, and it would take too long
    monkeypatch.setattr(choice, "MOST_LOGISTIC_WORK", 2400)
    assert fit(embeddings, labels, 2).report.kind == "logistic"
    monkeypatch.setattr(choice, "MOST_LOGISTIC_WORK", 2399)
    assert fit(embeddings, labels, 2).report.kind != "logistic"


def test_auto_stays_with_the_first_when_labels_are_few() -> None:
    embeddings, labels = blobs((LEAST_A_CLASS - 1,) * 3, dimension=5)
    assert fit(embeddings, labels, 3).report.kind == CHOSEN_FROM[0]


def test_report_says_how_the_head_did_on_labels_left_out() -> None:
    embeddings, labels = blobs((7, 6, 1), dimension=9, distance=0.8)
    found = fit(embeddings, labels, 3, "lda").report
    data = Labeled(Coordinates.of(embeddings).rows, labels)
    one = next(
        one
        for one in KINDS["lda"](data, np.random.default_rng(0))
        if one.strength == found.strength
    )
    rows = np.flatnonzero(labels < 2)
    assert found.held_out == 13
    assert found.accuracy == np.mean(one.held_out.argmax(axis=1) == labels[rows])
    assert found.temperature == temperature(one.held_out, labels[rows])
    assert found.log_likelihood == pytest.approx(
        -log_loss(one.held_out / found.temperature, labels[rows])
    )


@pytest.mark.parametrize("kind", ["lda", "ridge", "logistic", "means"])
def test_calibration_lowers_the_log_loss_of_other_images(kind: str) -> None:
    embeddings, labels = blobs((230, 220, 250), dimension=40, distance=0.3)
    head = fit(embeddings[:60], labels[:60], 3, kind)
    logits = logits_of(head, embeddings[60:])
    calibrated = log_loss(logits, labels[60:])
    # within 2 % of what the labels of these images themselves would choose
    factors = np.geomspace(0.2, 5, 60)
    best = min(log_loss(factor * logits, labels[60:]) for factor in factors)
    assert calibrated < 1.02 * best
    assert calibrated < log_loss(head.report.temperature * logits, labels[60:])


@pytest.mark.parametrize("kind", EVERY)
def test_a_class_without_labels_is_unlikely_and_never_predicted(kind: str) -> None:
    embeddings, labels = blobs((8, 9, 7), dimension=6, distance=0.2)
    head = fit(embeddings, labels * 2, 6, kind)  # classes 1, 3 and 5 have none
    logits = logits_of(head, np.concatenate([embeddings, 100 * embeddings, -embeddings]))
    assert set(logits.argmax(axis=1)) <= {0, 2, 4}
    chances = np.exp(log_softmax(logits[: len(labels)], axis=1))
    assert (chances[:, [1, 3, 5]] > 0).all()
    assert chances[:, [1, 3, 5]].mean() < 2 / (24 + 6)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    ("counts", "num_classes"),
    [((1, 1), 2), ((1, 1, 1), 9), ((5, 1), 2), ((2, 1, 1), 4), ((40,), 3), ((1,), 2), ((3, 30), 2)],
)
def test_head_is_finite_whatever_the_labels(
    kind: str, counts: tuple[int, ...], num_classes: int
) -> None:
    embeddings, labels = blobs(counts, dimension=7, distance=3)
    head = fit(embeddings, labels, num_classes, kind)
    assert head.weight.shape == (num_classes, 7)
    assert head.weight.dtype == head.bias.dtype == np.float32
    assert np.isfinite(logits_of(head, embeddings)).all()
    assert np.mean(logits_of(head, embeddings).argmax(axis=1) == labels) >= 0.75
    if max(counts) == 1:
        assert (head.report.held_out, head.report.accuracy) == (0, None)
        assert head.report.log_likelihood is None


@pytest.mark.parametrize("kind", EVERY)
def test_head_says_nothing_when_all_images_are_equal(kind: str) -> None:
    labels = np.arange(30) % 3
    head = fit(np.ones((30, 5), np.float32), labels, 3, kind)
    chances = np.exp(log_softmax(logits_of(head, np.ones((2, 5))), axis=1))
    np.testing.assert_allclose(chances, 1 / 3, atol=1e-6)


@pytest.mark.parametrize("kind", EVERY)
def test_head_stands_images_that_repeat_and_features_that_do_not_vary(kind: str) -> None:
    embeddings, labels = blobs((6, 6), dimension=4, distance=3)
    embeddings[:, 2] = 7.0
    doubled = np.concatenate([embeddings] * 3)
    head = fit(doubled, np.concatenate([labels] * 3), 2, kind)
    assert np.isfinite(head.weight).all()
    assert (logits_of(head, embeddings).argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("kind", EVERY)
def test_head_is_the_same_of_float16_up_to_its_rounding(kind: str) -> None:
    embeddings, labels = blobs((20, 15), dimension=6, distance=2)
    half = embeddings.astype(np.float16)
    logits = logits_of(fit(embeddings, labels, 2, kind), embeddings)
    np.testing.assert_allclose(
        np.exp(log_softmax(logits_of(fit(half, labels, 2, kind), half), axis=1)),
        np.exp(log_softmax(logits, axis=1)),
        atol=0.02,
    )


def test_head_tells_100_classes_apart() -> None:
    embeddings, labels = blobs((4,) * 100, dimension=64, distance=2)
    head = fit(embeddings[:300], labels[:300], 100)
    assert np.mean(logits_of(head, embeddings[300:]).argmax(axis=1) == labels[300:]) > 0.9


@pytest.mark.parametrize("kind", EVERY)
def test_equal_seeds_give_equal_heads(kind: str) -> None:
    embeddings, labels = blobs((20, 15, 1), dimension=6)
    kept = embeddings.copy(), labels.copy()
    first, again = (fit(embeddings, labels, 3, kind, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.weight, again.weight)
    np.testing.assert_array_equal(first.bias, again.bias)
    assert first.report == again.report
    np.testing.assert_array_equal(embeddings, kept[0])
    np.testing.assert_array_equal(labels, kept[1])


@pytest.mark.parametrize("kind", EVERY)
def test_prediction_does_not_depend_on_the_units_of_the_embeddings(kind: str) -> None:
    embeddings, labels = blobs((20, 15, 12), dimension=6)
    logits = logits_of(fit(embeddings, labels, 3, kind), embeddings)
    moved = 1000 * embeddings + 3
    np.testing.assert_allclose(
        logits_of(fit(moved, labels, 3, kind), moved), logits, atol=0.02 * np.abs(logits).max()
    )


def test_setting_names_every_kind() -> None:
    for kind in [*EVERY, ADAM]:
        assert Settings.from_environ({"ALFAMIX_HEAD": kind}).head == kind
    with pytest.raises(SettingsError) as error:
        Settings.from_environ({"ALFAMIX_HEAD": "svm"})
    assert all(kind in str(error.value) for kind in [*EVERY, ADAM])
