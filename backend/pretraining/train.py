"""The pre-training run: batches, schedules, checkpoints, the watch for collapse, the result.

Legend: N images, B batch, C channels, P side of a view.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from backend.errors import PretrainingError
from backend.pretraining import checkpoint
from backend.pretraining.checkpoint import Progress, RunState
from backend.pretraining.collapse import CollapseWatch
from backend.pretraining.config import DinoConfig
from backend.pretraining.crops import multi_crop
from backend.pretraining.dino import Dino, StepReport
from backend.pretraining.evaluate import features, knn_accuracy, normalized
from backend.pretraining.images import LabeledSample, channel_statistics
from backend.pretraining.schedules import StepValues, step_values
from backend.vision.trainable import Architecture, StartingPoint, build_vit

MINIMUM_BATCH = 2
BAR_INTERVAL_S = 1.0


@dataclass(frozen=True)
class RunOptions:
    """What has no influence on the weights: where the state is kept, and what is shown."""

    checkpoint_path: Path
    checkpoint_every_s: float = 300.0
    knn_every_epochs: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    say: Callable[[str], None] = tqdm.write


@dataclass(frozen=True)
class Pretrained:
    """The teacher's backbone, what it was normalized by, and the last measurements."""

    backbone: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    metrics: dict[str, float]


def pretrain(
    pixels: Tensor,
    config: DinoConfig,
    options: RunOptions,
    start: StartingPoint | None = None,
    sample: LabeledSample | None = None,
) -> Pretrained:
    """Train by DINO on (N, C, H, W) uint8 pixels, going on from the checkpoint if there is one.

    Args:
        start: given weights; None is a start from scratch.
        sample: what k-NN accuracy is measured on; the training never sees its labels.

    Raises:
        PretrainingError: the teacher collapses, the checkpoint belongs to another run, or the GPU
            does not hold a batch of two.
    """
    run = Run(pixels, config, options, start, sample)
    run.resume()
    run.train()
    return run.result()


class Run:
    """One run's moving parts; `train` reads top to bottom."""

    def __init__(
        self,
        pixels: Tensor,
        config: DinoConfig,
        options: RunOptions,
        start: StartingPoint | None = None,
        sample: LabeledSample | None = None,
    ) -> None:
        self.pixels, self.config, self.options, self.sample = pixels, config, options, sample
        self.mean, self.std = (start.mean, start.std) if start else channel_statistics(pixels)
        self.dino = new_dino(config, start, options.device)
        self.progress = Progress(0, 0, min(config.batch_size, len(pixels)))
        self.watch = CollapseWatch()
        self.identity = f"{config.to_json()} {pixels_digest(pixels)}"
        self.metrics: dict[str, float] = {}

    @property
    def images_seen(self) -> int:
        """Images of the schedule so far; an epoch's incomplete last batch counts as seen."""
        return self.progress.epoch * len(self.pixels) + self.progress.position

    def resume(self) -> None:
        """Take up the checkpoint's state, if there is one."""
        state = checkpoint.load(self.options.checkpoint_path, self.identity)
        if state is not None:
            self.dino.load_state_dict(state.dino)
            self.progress = state.progress
            self.options.say(f"going on after {self.images_seen} images")

    def train(self) -> None:
        """All steps that are left, with a checkpoint every so often and at the end."""
        saved_at = time.monotonic()
        with self._bar() as bar:
            while self.progress.epoch < self.config.epochs:
                report = self.next_step()
                bar.update(self.images_seen - bar.n)
                bar.set_postfix(bar_values(report, self.metrics), refresh=False)
                if time.monotonic() - saved_at >= self.options.checkpoint_every_s:
                    self.save()
                    saved_at = time.monotonic()
        self.save()

    def _bar(self) -> tqdm:
        total = self.config.epochs * len(self.pixels)
        return tqdm(
            total=total, initial=self.images_seen, unit=" images", mininterval=BAR_INTERVAL_S
        )

    def next_step(self) -> StepReport:
        """One batch, smaller ones from here on when the GPU's memory does not hold it."""
        report = self._attempt()
        while report is None:
            self.halve_batch()
            report = self._attempt()
        if not self.values().last_layer_frozen:
            self.watch.observe(report.entropy)
        self.advance()
        return report

    def _attempt(self) -> StepReport | None:
        """The step's report, None when memory ran out (which happens before weights change)."""
        try:
            return self.step_on_next_batch()
        except torch.OutOfMemoryError:
            return None

    def step_on_next_batch(self) -> StepReport:
        """DINO's step on the images that come next, with the crops drawn for just this place."""
        seed = place_seed(self.config.seed, self.images_seen)
        generator = torch.Generator().manual_seed(seed)
        rows = self.epoch_order()[self.progress.position :][: self.progress.batch_size]
        images = self.pixels[rows].to(self.options.device).float() / 255
        views = multi_crop(self.config.crops, generator)(images)
        with seeded(seed):  # drop path draws from torch's own generator
            return self.dino.step(
                [normalized(view, self.mean, self.std) for view in views], self.values()
            )

    def values(self) -> StepValues:
        """What the schedules say here."""
        return step_values(
            self.config, len(self.pixels), self.images_seen, self.progress.batch_size
        )

    def epoch_order(self) -> Tensor:
        """(N,) rows in this epoch's order, the same whenever it is asked for."""
        seed = place_seed(self.config.seed, -1 - self.progress.epoch)
        return torch.randperm(len(self.pixels), generator=torch.Generator().manual_seed(seed))

    def advance(self) -> None:
        """Move on by a batch, or to the next epoch when no whole batch is left of this one."""
        position = self.progress.position + self.progress.batch_size
        self.progress = replace(self.progress, position=position)
        if position + self.progress.batch_size > len(self.pixels):
            self.progress = replace(self.progress, epoch=self.progress.epoch + 1, position=0)
            self.measure()

    def measure(self) -> None:
        """20-NN accuracy of the teacher when it is due: half of the sample refers, half asks."""
        done = self.progress.epoch
        is_due = done % self.options.knn_every_epochs == 0 or done == self.config.epochs
        if self.sample is None or not is_due:
            return
        side = self.config.crops.global_px
        rows = features(self.dino.teacher.backbone, self.sample.pixels, self.mean, self.std, side)
        labels = self.sample.labels
        self.metrics["knn"] = knn_accuracy(rows[::2], labels[::2], rows[1::2], labels[1::2])
        self.options.say(f"epoch {done}: 20-NN accuracy {self.metrics['knn']:.4f}")

    def halve_batch(self) -> None:
        """Go on with half the batch.

        Raises:
            PretrainingError: that is less than two images.
        """
        size = self.progress.batch_size // 2
        if size < MINIMUM_BATCH:
            raise PretrainingError(
                "the GPU's memory does not hold a batch of two images; needed are a smaller model "
                "or smaller or fewer crops"
            )
        if self.options.device.type == "cuda":
            torch.cuda.empty_cache()
        self.progress = replace(self.progress, batch_size=size)
        self.options.say(f"GPU out of memory: going on with half the batch, {size} images")

    def save(self) -> None:
        """Write the checkpoint."""
        state = RunState(self.identity, self.progress, self.dino.state_dict())
        checkpoint.save(self.options.checkpoint_path, state)

    def result(self) -> Pretrained:
        """The teacher's backbone, the better of the two networks (the paper's section 5.2)."""
        return Pretrained(self.dino.teacher.backbone, self.mean, self.std, dict(self.metrics))


def new_dino(config: DinoConfig, start: StartingPoint | None, device: torch.device) -> Dino:
    """Student and teacher before the first step, the same for the same seed."""
    architecture = Architecture(config.model, config.model_arguments)
    with seeded(config.seed):
        student = build_vit(architecture, drop_path_rate=config.drop_path_rate)
        teacher = build_vit(architecture)
        if start is not None:
            load_start_into(student, start, config)
        return Dino(student, teacher, config, device)


def load_start_into(student: nn.Module, start: StartingPoint, config: DinoConfig) -> None:
    """Give the student the weights of `start`.

    Raises:
        PretrainingError: they do not fit.
    """
    try:
        student.load_state_dict(start.state)
    except RuntimeError as error:
        raise PretrainingError(
            f"--init {config.init} does not fit {config.model} with {config.model_arguments}: "
            f"{error}"
        ) from error


def pixels_digest(pixels: Tensor) -> str:
    """32 hex digits that tell these images in this order from others."""
    return hashlib.blake2b(pixels.contiguous().numpy().data, digest_size=16).hexdigest()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's own generators at `seed` inside, and as they were before afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def place_seed(seed: int, place: int) -> int:
    """A seed for one place of one run: equal places draw equal numbers, in a resumed run too."""
    digest = hashlib.blake2b(f"{seed}/{place}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def bar_values(report: StepReport, metrics: dict[str, float]) -> dict[str, str]:
    """What the progress bar shows beside images/s and time left."""
    values = {"loss": f"{report.loss:.3f}", "entropy": f"{report.entropy.sample:.2f}"}
    return values | {name: f"{value:.3f}" for name, value in metrics.items()}
