"""How good the model is, told from labels of tasks that were drawn at random: numbers in and out.

- `intervals.py`: a share and its interval, of two models on the same tasks their difference;
  recall by class, confusion.
- `learning_curve.py`: accuracy against labels over all rounds, with what is not known of it.
- `calibration.py`: whether 80 % sure means right in 80 of 100, as far as can be told.
- `stop_advice.py`: what the next labels bring, and when more do not pay.
"""

from __future__ import annotations

from backend.evaluation.calibration import Bin, reliability, temperature
from backend.evaluation.intervals import Estimate, confusion, paired_difference, recalls, share
from backend.evaluation.learning_curve import LearningCurve, Measurement, gathered
from backend.evaluation.stop_advice import Advice, Verdict, advise

__all__ = [
    "Advice",
    "Bin",
    "Estimate",
    "LearningCurve",
    "Measurement",
    "Verdict",
    "advise",
    "confusion",
    "gathered",
    "paired_difference",
    "recalls",
    "reliability",
    "share",
    "temperature",
]
