from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import PretrainingError
from backend.pretraining.collapse import CollapseWatch
from backend.pretraining.config import DinoConfig
from backend.pretraining.dino import Dino, StepReport, TeacherEntropy
from backend.pretraining.images import LabeledSample
from backend.pretraining.train import Run, RunOptions, new_dino, place_seed, pretrain, seeded
from backend.vision.trainable import StartingPoint


class Killed(BaseException):
    """What a kill is to the code: nothing catches it."""


def kill_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Let the process die in the middle of the step after `steps`."""
    left = iter(range(steps))
    step = Dino.step

    def mortal(self: Dino, *arguments: object) -> StepReport:
        report = step(self, *arguments)
        if next(left, None) is None:
            raise Killed
        return report

    monkeypatch.setattr(Dino, "step", mortal)


def out_of_memory_above(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Let the GPU hold batches of up to `images` images."""
    step = Dino.step

    def limited(self: Dino, views: list[torch.Tensor], values: object) -> StepReport:
        if len(views[0]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, views, values)

    monkeypatch.setattr(Dino, "step", limited)


def equal_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("steps", [1, 3, 4, 6])
def test_pretrain_ends_with_the_same_weights_when_killed_and_started_again(
    pixels: torch.Tensor,
    config: DinoConfig,
    options: RunOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
) -> None:
    whole = pretrain(pixels, config, replace(options, checkpoint_path=tmp_path / "whole.pt"))
    often = replace(options, checkpoint_every_s=0.0)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_after(patch, steps)
        pretrain(pixels, config, often)

    again = Run(pixels, config, often)
    again.resume()
    assert again.images_seen == {1: 6, 3: 18, 4: 26, 6: 38}[steps]
    again.train()

    assert equal_weights(whole.backbone, again.result().backbone)


def test_pretrain_leaves_torchs_generator_alone(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    pretrain(pixels, config, options)

    assert torch.equal(torch.rand(3), expected)


def test_run_sees_every_image_once_when_an_epoch_ends(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions
) -> None:
    run = Run(pixels, replace(config, batch_size=13), options)

    first = run.epoch_order()
    run.next_step()
    assert torch.equal(run.epoch_order(), first)
    run.next_step()

    assert run.progress.epoch == 1
    assert sorted(first.tolist()) == list(range(26))
    assert not torch.equal(run.epoch_order(), first)


def test_run_draws_other_crops_when_it_moves_on(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    step = Dino.step

    def watched(self: Dino, views: list[torch.Tensor], values: object) -> StepReport:
        seen.append(views[0])
        return step(self, views, values)

    monkeypatch.setattr(Dino, "step", watched)
    same = pixels[:1].repeat(12, 1, 1, 1)
    run = Run(same, config, options)

    run.next_step()
    run.next_step()

    assert not torch.allclose(seen[0], seen[1])


def test_pretrain_halves_the_batch_and_says_so_when_memory_runs_out(
    pixels: torch.Tensor,
    config: DinoConfig,
    options: RunOptions,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out_of_memory_above(monkeypatch, 2)
    run = Run(pixels, replace(config, batch_size=8), options)

    run.next_step()

    assert run.progress.batch_size == 2
    assert run.images_seen == 2
    assert said == [
        "GPU out of memory: going on with half the batch, 4 images",
        "GPU out of memory: going on with half the batch, 2 images",
    ]


def test_pretrain_raises_when_not_even_two_images_fit(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory_above(monkeypatch, 1)

    with pytest.raises(PretrainingError, match="batch of two images"):
        pretrain(pixels, config, options)


def test_pretrain_stops_when_the_teacher_has_collapsed(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = StepReport(loss=2.7, entropy=TeacherEntropy(sample=1.0, batch=1.0))
    monkeypatch.setattr(Dino, "step", lambda *_: report)
    run = Run(pixels, config, options)
    run.watch = CollapseWatch(patience_steps=3)

    with pytest.raises(PretrainingError, match="collapsed"):
        run.train()

    # the frozen half epoch (steps at 0, 6 and 12 of 26 images) is not held against the teacher;
    # the steps at 18, 26 and 32 are, and the last of them does not count as done
    assert run.images_seen == 32


def test_pretrain_measures_knn_when_a_sample_is_given(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions, said: list[str]
) -> None:
    sample = LabeledSample(pixels, np.arange(26) % 3)

    result = pretrain(pixels, config, options, sample=sample)

    assert [line.split(":")[0] for line in said] == ["epoch 1", "epoch 2"]
    assert 0 <= result.metrics["knn"] <= 1


def test_pretrain_raises_when_the_checkpoint_is_of_other_images(
    pixels: torch.Tensor, config: DinoConfig, options: RunOptions
) -> None:
    pretrain(pixels, config, options)

    with pytest.raises(PretrainingError, match="other settings or other images"):
        pretrain(pixels.flip(0), config, options)


def test_new_dino_starts_from_given_weights_when_there_are_some(config: DinoConfig) -> None:
    given = new_dino(replace(config, seed=9), None, torch.device("cpu")).student.backbone
    start = StartingPoint(given.state_dict(), (0.5,) * 3, (0.2,) * 3)

    dino = new_dino(config, start, torch.device("cpu"))

    assert equal_weights(dino.student.backbone, given)
    assert equal_weights(dino.teacher.backbone, given)


def test_seeded_draws_the_same_when_the_place_is_the_same() -> None:
    def draw(seed: int, place: int) -> float:
        with seeded(place_seed(seed, place)):
            return torch.rand(1).item()

    assert draw(0, 64) == draw(0, 64)
    assert len({draw(0, 64), draw(1, 64), draw(0, 65), draw(0, -1)}) == 4
