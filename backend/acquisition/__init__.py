"""Choosing what to label next: pure functions from arrays to ranked pool rows.

- `contract.py`: `Pool`, what a strategy sees, and `Selection`, what comes out.
- `registry.py`: every strategy by name, and `select`, the one way to call them; `supply.py` ranks
  the rest of the pool behind the batch, `validation.py` refuses what no strategy can work with.
- `strategies/`: one module each. To add one, write its `pick` there and register it in
  `registry.py`; the contract tests then walk it too.
- `alfa_mix/`: the paper's method, in parts.
- `engines/`: what several strategies share: k-means, greedy coverage, distances, reading in blocks.
- `audit.py` mixes rows drawn at random into a batch; `reasons.py` tells why rows were chosen.
- `rule.py`: which strategy a round uses; `standardization.py` and `heads.py`: what it is given.
"""

from __future__ import annotations

from backend.acquisition.audit import audit_size, mix_in
from backend.acquisition.contract import Mixing, Pool, Selection, has_two_classes
from backend.acquisition.heads import Head, LinearHead
from backend.acquisition.reasons import Reasons, reasons_of
from backend.acquisition.registry import option_names, select, strategy_names
from backend.acquisition.rule import Rule, standardized_pool
from backend.acquisition.standardization import Standardization

__all__ = [
    "Head",
    "LinearHead",
    "Mixing",
    "Pool",
    "Reasons",
    "Rule",
    "Selection",
    "Standardization",
    "audit_size",
    "has_two_classes",
    "mix_in",
    "option_names",
    "reasons_of",
    "select",
    "standardized_pool",
    "strategy_names",
]
