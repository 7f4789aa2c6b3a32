"""Choosing what to label next: pure functions from arrays to ranked pool rows."""

from backend.acquisition.contract import Pool, Selection, has_two_classes
from backend.acquisition.heads import Head, LinearHead
from backend.acquisition.registry import option_names, select, strategy_names
from backend.acquisition.rule import Rule, budget_of, standardized_pool
from backend.acquisition.standardization import Standardization

__all__ = [
    "Head",
    "LinearHead",
    "Pool",
    "Rule",
    "Selection",
    "Standardization",
    "budget_of",
    "has_two_classes",
    "option_names",
    "select",
    "standardized_pool",
    "strategy_names",
]
