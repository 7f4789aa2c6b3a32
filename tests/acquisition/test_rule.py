"""Which strategy a round chooses by, and what it is given."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from backend.acquisition import Rule, standardized_pool
from backend.errors import SettingsError
from backend.settings import Settings
from backend.vision.linear_head import LinearHead

RULE = Rule("alfa-mix", "kmeans-centers", 0.1)


def test_rule_is_the_settings():
    settings = Settings(strategy="margin", cold_start="typiclust", epsilon=0.3)
    assert Rule.of(settings) == Rule("margin", "typiclust", 0.3)


@pytest.mark.parametrize("field", ["strategy", "cold_start"])
def test_rule_names_the_strategy_when_the_registry_has_none_of_that_name(field):
    with pytest.raises(
        SettingsError, match=rf"ALFAMIX_{field.upper()} is 'alfa'; needed is one of"
    ):
        Rule.of(replace(Settings(), **{field: "alfa"}))


@pytest.mark.parametrize("change", [{"head": None}, {"labels": [1] * 40}])
def test_cold_start_chooses_until_a_network_knows_two_classes(change, make_pool):
    selection = RULE.choose(make_pool(**change), 5, np.random.default_rng(0))
    assert selection.statistics["strategy"] == "kmeans-centers"


def test_strategy_chooses_with_the_rules_epsilon_when_two_classes_are_known(make_pool):
    selection = RULE.choose(make_pool(), 5, np.random.default_rng(0))
    assert selection.statistics["strategy"] == "alfa-mix"
    assert selection.statistics["epsilon"] == 0.1


def test_choice_is_of_the_whole_pool_or_as_long_as_asked(make_pool):
    pool = make_pool(rows=50)
    assert len(RULE.choose(pool, 5, np.random.default_rng(0)).rows) == 50
    assert len(RULE.choose(pool, 5, np.random.default_rng(0), supply=7).rows) == 12


def test_standardized_pool_keeps_every_logit(make_pool):
    pool = make_pool()
    head = LinearHead(pool.head.weight, pool.head.bias)
    arrays = pool.embeddings, pool.labeled_embeddings, pool.labels, 4
    found = standardized_pool(*arrays, head, pool.ids)
    both = np.concatenate([found.embeddings, found.labeled_embeddings])
    np.testing.assert_allclose(both.mean(0), 0, atol=1e-5)
    logits = found.embeddings @ found.head.weight.T + found.head.bias
    np.testing.assert_allclose(logits, head.logits(pool.embeddings), atol=1e-4)
    assert standardized_pool(*arrays, None, pool.ids).head is None
    assert dataclasses.replace(found, head=None).ids is pool.ids
