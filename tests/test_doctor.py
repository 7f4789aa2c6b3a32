"""What the doctor says before it asks Label Studio."""

from __future__ import annotations

from backend.doctor import examine
from backend.settings import Settings


def first_finding(**changes):
    return next(iter(examine(Settings(**changes), [])))


def test_settings_are_good_when_the_registry_has_the_strategy():
    finding = first_finding(strategy="margin")
    assert finding.is_good
    assert "margin chooses, maxherding first" in finding.text


def test_settings_fail_and_name_the_strategies_when_the_registry_has_none_of_that_name():
    finding = first_finding(strategy="nonsense")
    assert not finding.is_good
    assert "ALFAMIX_STRATEGY is 'nonsense'; needed is one of auto" in finding.text
