"""Linear heads, in closed form or by convex optimization, and the choice among them."""

from __future__ import annotations

from backend.vision.heads.choice import (
    AUTO,
    KINDS,
    FittedHead,
    HeadReport,
    HeldOutAnswers,
    fit_head,
    held_out_answers,
)

__all__ = [
    "AUTO",
    "KINDS",
    "FittedHead",
    "HeadReport",
    "HeldOutAnswers",
    "fit_head",
    "held_out_answers",
]
