from __future__ import annotations

from dataclasses import replace

import pytest

from backend.pretraining.config import DinoConfig
from backend.pretraining.schedules import step_values

CONFIG = replace(
    DinoConfig(),
    epochs=10,
    lr=0.4,
    min_lr=0.0,
    warmup_epochs=2.0,
    weight_decay=0.1,
    weight_decay_end=0.3,
    momentum=0.9,
    freeze_last_layer_epochs=1.5,
)


def test_step_values_rise_in_a_line_when_warming_up() -> None:
    lrs = [step_values(CONFIG, 1000, seen, 256).lr for seen in (499, 999, 1999)]

    assert lrs == pytest.approx([0.1, 0.2, 0.4])


def test_step_values_are_halfway_when_half_of_the_images_are_seen() -> None:
    # half of what follows the warm-up for the learning rate
    assert step_values(CONFIG, 1000, 6000, 256).lr == pytest.approx(0.2, rel=1e-3)
    middle = step_values(CONFIG, 1000, 5000, 256)
    assert middle.weight_decay == pytest.approx(0.2, rel=1e-3)
    assert middle.momentum == pytest.approx(0.95, rel=1e-3)


def test_step_values_reach_their_ends_at_the_last_image() -> None:
    last = step_values(CONFIG, 1000, 9999, 256)

    assert (last.lr, last.weight_decay, last.momentum) == pytest.approx((0.0, 0.3, 1.0))


def test_step_values_scale_the_learning_rate_when_the_batch_is_halved() -> None:
    whole, half = (step_values(CONFIG, 1000, 6000, size) for size in (256, 128))

    assert half.lr == pytest.approx(whole.lr / 2)
    assert half.momentum == whole.momentum


def test_step_values_freeze_the_last_layer_when_the_run_is_young() -> None:
    assert step_values(CONFIG, 1000, 1499, 256).last_layer_frozen
    assert not step_values(CONFIG, 1000, 1500, 256).last_layer_frozen
