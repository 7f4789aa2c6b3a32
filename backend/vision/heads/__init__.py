"""Linear heads, in closed form or by convex optimization, and the choice among them."""

from __future__ import annotations

from backend.vision.heads.choice import AUTO, KINDS, FittedHead, HeadReport, fit_head

__all__ = ["AUTO", "KINDS", "FittedHead", "HeadReport", "fit_head"]
