"""Rounds replayed on labels that are known: what a strategy would have been worth."""

from __future__ import annotations

from backend.replay.learner import SessionLearner, memory_stores, readable
from backend.replay.protocol import OF_NO_CLASS, Fit, Learner, Plan, Round, Truth, replay
from backend.replay.shared_fits import SharedFits
from backend.replay.statistics import Interval, interval, labels_needed

__all__ = [
    "OF_NO_CLASS",
    "Fit",
    "Interval",
    "Learner",
    "Plan",
    "Round",
    "SessionLearner",
    "SharedFits",
    "Truth",
    "interval",
    "labels_needed",
    "memory_stores",
    "readable",
    "replay",
]
