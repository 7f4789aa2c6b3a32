"""Fine-tuning: it learns, it stops, it is reproducible, and its first step is Adam's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.vision.training import Classifier, TrainingConfig, TrainingOutcome, new_head, train

CLASSES = 3
DIMENSION = 8


def blobs(count: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    """Three far clusters: (count, DIMENSION) float32 and their labels."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(count) % CLASSES
    centers = 3 * torch.eye(DIMENSION)[:CLASSES]
    return centers[labels] + 0.3 * torch.randn(count, DIMENSION, generator=generator), labels


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_classifier(seed: int = 0) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        tail = nn.Sequential(nn.Linear(DIMENSION, DIMENSION), nn.LayerNorm(DIMENSION))
    return Classifier(tail, new_head(DIMENSION, CLASSES, generator(seed)))


def fit(
    classifier: Classifier, config: TrainingConfig, seed: int = 0, progress: list | None = None
) -> TrainingOutcome:
    notes = [] if progress is None else progress
    return train(classifier, *blobs(), config, generator(seed), lambda *step: notes.append(step))


def test_train_passes_99_percent_when_classes_are_separable() -> None:
    classifier = new_classifier()
    outcome = fit(classifier, TrainingConfig(head_lr=1e-2, block_lr=1e-3))
    activations, labels = blobs()
    assert outcome.train_accuracy > 0.99
    assert outcome.epochs < 60
    with torch.inference_mode():
        assert (classifier(activations).argmax(dim=1) == labels).all()


def test_train_reports_each_epoch_and_stops_when_the_limit_is_reached() -> None:
    progress: list[tuple[int, int]] = []
    config = TrainingConfig(epoch_limit=4, head_lr=0, block_lr=0)
    outcome = fit(new_classifier(), config, progress=progress)
    assert outcome.epochs == 4
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_train_stops_when_progress_raises() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(new_classifier(), *blobs(), TrainingConfig(), generator(), stop)


def test_train_gives_equal_weights_when_seed_and_labels_are_equal() -> None:
    config = TrainingConfig(epoch_limit=3, batch_size=16)
    first, second, other = new_classifier(), new_classifier(), new_classifier()
    torch.rand(1)  # the global generator must not matter
    outcomes = [fit(first, config), fit(second, config), fit(other, config, seed=1)]
    assert outcomes[0].loss == outcomes[1].loss
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(first.head.weight, other.head.weight)


def test_train_moves_each_weight_by_its_rate_when_one_step_is_done() -> None:
    # Adam's first step is rate * g / (|g| + 1e-8): the rate itself, against the gradient's sign
    classifier, rates = new_classifier(), {"head": 0.125, "tail": 0.0625}
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    activations, labels = blobs()
    classifier.center(activations, batch_size=64)
    nn.functional.cross_entropy(classifier(activations), labels).backward()
    gradients = {name: value.grad.clone() for name, value in classifier.named_parameters()}
    config = TrainingConfig(epoch_limit=1, batch_size=90, head_lr=0.125, block_lr=0.0625)
    fit(classifier, config)
    for name, value in classifier.named_parameters():
        expected = before[name] - rates[name.split(".")[0]] * gradients[name].sign()
        is_clear = gradients[name].abs() > 1e-5
        torch.testing.assert_close(value[is_clear], expected[is_clear], atol=1e-3, rtol=0)


def test_train_reports_loss_and_accuracy_before_the_step_when_one_batch_is_all() -> None:
    classifier = new_classifier()
    activations, labels = blobs()
    classifier.center(activations, batch_size=64)
    with torch.no_grad():
        probabilities = torch.softmax(classifier(activations), dim=1)
    expected_loss = -probabilities[torch.arange(90), labels].log().mean().item()
    expected_accuracy = (probabilities.argmax(dim=1) == labels).float().mean().item()
    outcome = fit(classifier, TrainingConfig(epoch_limit=1, batch_size=90))
    assert outcome.loss == pytest.approx(expected_loss, rel=1e-5)
    assert outcome.train_accuracy == pytest.approx(expected_accuracy)


def test_train_needs_one_epoch_when_there_is_one_class() -> None:
    classifier = Classifier(nn.Identity(), new_head(DIMENSION, 1, generator()))
    activations, labels = blobs()
    progress = lambda done, total: None  # noqa: E731
    outcome = train(classifier, activations, labels * 0, TrainingConfig(), generator(), progress)
    assert outcome.epochs == 1
    assert outcome.train_accuracy == 1


def test_center_takes_mean_and_scale_out_of_the_embeddings() -> None:
    activations = 7 + 3 * torch.randn(200, DIMENSION, generator=generator())
    classifier = Classifier(nn.Identity(), new_head(DIMENSION, CLASSES, generator()))
    classifier.center(activations, batch_size=64)
    centered = (activations - classifier.mean) / classifier.scale
    torch.testing.assert_close(centered.mean(dim=0), torch.zeros(DIMENSION), atol=1e-5, rtol=0)
    assert centered.square().mean().item() == pytest.approx(1)


def test_center_leaves_the_scale_when_all_embeddings_are_equal() -> None:
    classifier = Classifier(nn.Identity(), new_head(DIMENSION, CLASSES, generator()))
    classifier.center(torch.full((5, DIMENSION), 2.0), batch_size=2)
    assert classifier.scale == 1
    torch.testing.assert_close(classifier.mean, torch.full((DIMENSION,), 2.0))


def test_merged_head_gives_the_same_logits_when_embeddings_are_not_centered() -> None:
    classifier = new_classifier()
    activations, _ = blobs()
    fit(classifier, TrainingConfig(epoch_limit=5, head_lr=1e-2))
    with torch.inference_mode():
        merged = classifier.merged_head()(classifier.tail(activations))
        torch.testing.assert_close(merged, classifier(activations), atol=1e-5, rtol=1e-5)
