"""Learning rate, weight decay and teacher momentum over a run, in images seen.

Counting images instead of steps keeps the schedule when the batch has to be halved on the way.
Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021,
section 3.2: cosine schedules, a linear warm-up, a learning rate proportional to the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from lightly.utils.scheduler import cosine_schedule, cosine_warmup_schedule

from backend.pretraining.config import DinoConfig

LR_BATCH = 256


@dataclass(frozen=True)
class StepValues:
    """What the schedules say for one step."""

    lr: float
    weight_decay: float
    momentum: float
    last_layer_frozen: bool


def step_values(
    config: DinoConfig, image_count: int, images_seen: int, batch_size: int
) -> StepValues:
    """What holds for a step of `batch_size` images after `images_seen`; N images an epoch."""
    total = config.epochs * image_count
    batch_share = batch_size / LR_BATCH
    return StepValues(
        lr=cosine_warmup_schedule(
            step=images_seen,
            max_steps=total,
            start_value=config.lr * batch_share,
            end_value=config.min_lr * batch_share,
            warmup_steps=round(min(config.warmup_epochs, config.epochs) * image_count),
            warmup_start_value=0.0,
        ),
        weight_decay=cosine_schedule(
            images_seen, total, config.weight_decay, config.weight_decay_end
        ),
        momentum=cosine_schedule(images_seen, total, config.momentum, 1.0),
        last_layer_frozen=images_seen < config.freeze_last_layer_epochs * image_count,
    )
