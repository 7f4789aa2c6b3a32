"""Choosing what to label next: pure functions from arrays to ranked pool rows."""

from backend.acquisition.contract import Pool, Selection
from backend.acquisition.heads import Head, LinearHead
from backend.acquisition.registry import option_names, select, strategy_names

__all__ = ["Head", "LinearHead", "Pool", "Selection", "option_names", "select", "strategy_names"]
