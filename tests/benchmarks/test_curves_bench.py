"""How a setting's rounds choose."""

from __future__ import annotations

from dataclasses import replace

from backend.acquisition import Rule
from backend.settings import Settings
from benchmarks.curves.bench import rule
from benchmarks.curves.settings import EVIDENCE


def test_rule_is_the_default_settings_with_another_strategy():
    assert rule(EVIDENCE[0], "margin") == replace(Rule.of(Settings()), strategy="margin")


def test_rule_lets_the_strategy_choose_the_first_batch_when_the_setting_is_cold():
    cold = replace(EVIDENCE[0], is_cold=True)
    assert rule(cold, "typiclust").cold_start == "typiclust"
