"""DINO's student, teacher and one step of training them.

Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021,
algorithm 1 and section 3; loss and projection head are lightly's.

Legend: B batch, V global views (2), K outputs of the head, P side of a view.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from lightly.models.utils import get_weight_decay_parameters, update_momentum
from torch import Tensor, nn

from backend.pretraining.config import DinoConfig
from backend.pretraining.schedules import StepValues
from backend.vision.device import autocast
from backend.vision.vit_checks import Vit

STATEFUL = ("student", "teacher", "loss", "optimizer")


class HeadedBackbone(nn.Module):
    """A ViT and DINO's projection head: (B, 3, P, P) images -> (B, K) outputs."""

    def __init__(self, backbone: Vit, config: DinoConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = projection_head(backbone.num_features, config)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.backbone(images))


def projection_head(width: int, config: DinoConfig) -> DINOProjectionHead:
    """lightly's head for features of this width, its last layer's weights of length one."""
    with warnings.catch_warnings():
        # lightly builds it with torch's former weight_norm
        warnings.simplefilter("ignore", FutureWarning)
        return DINOProjectionHead(
            width,
            config.hidden_dim,
            config.bottleneck_dim,
            config.out_dim,
            norm_last_layer=True,
        )


@dataclass(frozen=True)
class TeacherEntropy:
    """How spread the teacher's outputs are, as shares of log K (1 is uniform).

    `sample` is the mean entropy of single outputs, `batch` the entropy of their mean.
    """

    sample: float
    batch: float


@dataclass(frozen=True)
class StepReport:
    """What one step measured."""

    loss: float
    entropy: TeacherEntropy


class Dino:
    """Student, EMA teacher, loss (it holds the center) and optimizer of one run."""

    def __init__(
        self, student: Vit, teacher: Vit, config: DinoConfig, device: torch.device
    ) -> None:
        self.config = config
        self.device = device
        self.student = HeadedBackbone(student, config).to(device).train()
        # no drop path in the teacher: its targets are those of the whole network
        self.teacher = HeadedBackbone(teacher, config).to(device).eval().requires_grad_(False)
        self.teacher.load_state_dict(self.student.state_dict())
        self.loss = DINOLoss(
            config.out_dim,
            teacher_temp=config.teacher_temp,
            student_temp=config.student_temp,
            center_momentum=config.center_momentum,
        ).to(device)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.student))

    def step(self, views: list[Tensor], values: StepValues) -> StepReport:
        """Update student, center and teacher with one batch.

        views: two global views, then the local ones, each (B, 3, P, P) float, normalized.
        """
        set_schedule(self.optimizer, values)
        loss, teacher_out = self._loss(views)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._update_student(values)
        update_momentum(self.student, self.teacher, values.momentum)
        return StepReport(loss.item(), self._entropy(teacher_out))

    def _loss(self, views: list[Tensor]) -> tuple[Tensor, Tensor]:
        global_views, local_views = torch.cat(views[:2]), views[2:]
        with autocast(self.device):
            with torch.no_grad():
                teacher_out = self.teacher(global_views)
            student_out = [self.student(global_views)]
            if local_views:
                student_out.append(self.student(torch.cat(local_views)))
        loss = self.loss(
            list(teacher_out.float().chunk(2)),
            list(torch.cat(student_out).float().chunk(len(views))),
        )
        return loss, teacher_out.float()

    def _update_student(self, values: StepValues) -> None:
        if values.last_layer_frozen:
            self.student.head.last_layer.zero_grad(set_to_none=True)
        nn.utils.clip_grad_norm_(self.student.parameters(), self.config.clip_grad)
        self.optimizer.step()

    @torch.no_grad()
    def _entropy(self, teacher_out: Tensor) -> TeacherEntropy:
        logits = (teacher_out - self.loss.center.view(1, -1)) / self.config.teacher_temp
        probabilities = logits.softmax(dim=-1)
        uniform = torch.tensor(float(self.config.out_dim)).log().item()
        sample = torch.special.entr(probabilities).sum(dim=-1).mean().item()
        batch = torch.special.entr(probabilities.mean(dim=0)).sum().item()
        return TeacherEntropy(sample / uniform, batch / uniform)

    def state_dict(self) -> dict:
        """Everything a resumed run needs, as torch.load(weights_only=True) can read it."""
        return {name: getattr(self, name).state_dict() for name in STATEFUL}

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of `state_dict`."""
        for name in STATEFUL:
            getattr(self, name).load_state_dict(state[name])


def parameter_groups(student: nn.Module) -> list[dict]:
    """AdamW's two groups: weights, and what is not decayed (norms, biases, position, tokens)."""
    decayed, plain = get_weight_decay_parameters([student])
    tokens = {id(p) for p in student.parameters() if p.ndim == 3 and p.shape[0] == 1}
    plain += [p for p in decayed if id(p) in tokens]
    return [
        {"params": [p for p in decayed if id(p) not in tokens and p.requires_grad], "decay": True},
        {"params": [p for p in plain if p.requires_grad], "decay": False},
    ]


def set_schedule(optimizer: torch.optim.Optimizer, values: StepValues) -> None:
    """Give both parameter groups the step's learning rate and weight decay."""
    for group in optimizer.param_groups:
        group["lr"] = values.lr
        group["weight_decay"] = values.weight_decay if group["decay"] else 0.0
