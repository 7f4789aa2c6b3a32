from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from backend.pretraining.config import DinoConfig
from backend.pretraining.dino import Dino, parameter_groups
from backend.pretraining.schedules import StepValues
from backend.pretraining.train import new_dino

CPU = torch.device("cpu")
VALUES = StepValues(lr=0.01, weight_decay=0.1, momentum=0.9, last_layer_frozen=False)


@pytest.fixture
def dino(config: DinoConfig) -> Dino:
    return new_dino(replace(config, drop_path_rate=0.0), None, CPU)


@pytest.fixture
def views() -> list[torch.Tensor]:
    """Two global views and a local one of three images."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(3, 3, px, px, generator=generator) for px in (8, 8, 4)]


def copy_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_step_reports_the_papers_loss(dino: Dino, views: list[torch.Tensor]) -> None:
    with torch.no_grad():
        teacher = [(dino.teacher(view) / 0.04).softmax(dim=1) for view in views[:2]]
        student = [(dino.student(view) / 0.1).log_softmax(dim=1) for view in views]
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2)]  # no view with itself
    terms = [-(teacher[t] * student[s]).sum(dim=1).mean().item() for t, s in pairs]

    assert dino.step(views, VALUES).loss == pytest.approx(sum(terms) / 4, rel=1e-5)


def test_step_moves_the_teacher_towards_the_student(dino: Dino, views: list[torch.Tensor]) -> None:
    before = copy_of(dino.teacher)

    dino.step(views, VALUES)

    student = dino.student.state_dict()
    for name, tensor in dino.teacher.state_dict().items():
        assert torch.allclose(tensor, 0.9 * before[name] + 0.1 * student[name], atol=1e-6), name
    assert any(not torch.equal(before[name], student[name]) for name in before)


def test_step_moves_the_center_towards_the_teachers_mean_output(
    dino: Dino, views: list[torch.Tensor]
) -> None:
    with torch.no_grad():
        mean = torch.cat([dino.teacher(view) for view in views[:2]]).mean(dim=0)

    dino.step(views, VALUES)

    assert torch.allclose(dino.loss.center.flatten(), 0.1 * mean, atol=1e-6)


@pytest.mark.parametrize("is_frozen", [True, False])
def test_step_keeps_the_last_layer_when_it_is_frozen(
    dino: Dino, views: list[torch.Tensor], is_frozen: bool
) -> None:
    before = dino.student.head.last_layer.weight_v.clone()

    dino.step(views, replace(VALUES, last_layer_frozen=is_frozen))

    assert torch.equal(dino.student.head.last_layer.weight_v, before) == is_frozen


def test_step_clips_the_gradient_when_it_is_long(
    config: DinoConfig, views: list[torch.Tensor]
) -> None:
    dino = new_dino(replace(config, clip_grad=1e-3), None, CPU)

    dino.step(views, VALUES)

    squares = [p.grad.square().sum() for p in dino.student.parameters() if p.grad is not None]
    assert torch.stack(squares).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-3)


def test_step_uses_the_schedules_rates(dino: Dino, views: list[torch.Tensor]) -> None:
    dino.step(views, VALUES)

    groups = dino.optimizer.param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.01, 0.1), (0.01, 0.0)]


def test_parameter_groups_spare_norms_biases_and_tokens(dino: Dino) -> None:
    decayed, plain = ({id(p) for p in group["params"]} for group in parameter_groups(dino.student))
    names = {id(p): name for name, p in dino.student.named_parameters() if p.requires_grad}

    assert decayed | plain == set(names)
    assert not decayed & plain
    spared = {names[i] for i in plain}
    assert {"backbone.pos_embed", "backbone.cls_token", "backbone.norm.weight"} <= spared
    assert all(
        name.endswith("bias") or "norm" in name or name.endswith(("pos_embed", "cls_token"))
        for name in spared
    )


def test_entropy_is_one_when_the_teacher_is_uniform_and_zero_when_single(dino: Dino) -> None:
    uniform = dino._entropy(torch.zeros(4, 16))
    single = dino._entropy(torch.eye(16)[:1].repeat(4, 1) * 100)
    distinct = dino._entropy(torch.eye(16)[:4] * 100)

    assert (uniform.sample, uniform.batch) == pytest.approx((1.0, 1.0))
    assert (single.sample, single.batch) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert distinct.sample == pytest.approx(0.0, abs=1e-6)
    assert distinct.batch == pytest.approx(math.log(4) / math.log(16))
