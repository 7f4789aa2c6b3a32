"""The oracle: it knows the true labels, chooses by them, and is held apart from all strategies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend import acquisition
from backend.acquisition import Pool, Rule, strategy_names
from backend.replay import OF_NO_CLASS, Fit, Plan, Truth, replay
from backend.vision import LinearHead
from benchmarks.curves import oracle
from benchmarks.curves.bench import Place
from benchmarks.curves.ceiling import how_far
from benchmarks.curves.oracle import ORACLE, BestOfStrategies
from benchmarks.curves.runs import Run, missing, run_rows
from benchmarks.curves.settings import EVIDENCE, Setting
from benchmarks.curves.tables import Curves

ROWS, TREASURE = 40, 17
EMBEDDINGS = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
TRUTH = Truth(np.arange(ROWS) % 2, np.array([0, 1, 1, 0]), 2)
RULE = Rule("auto", "maxherding", 0.2)


class TreasureLearner:
    """Predicts one test image, and all of them once a certain pool image is labeled."""

    def __init__(self) -> None:
        self.tried: list[list[int]] = []

    def untrained(self) -> np.ndarray:
        return EMBEDDINGS

    def fit(self, rows: np.ndarray, labels: np.ndarray, seed: int, previous: Fit | None) -> Fit:
        np.testing.assert_array_equal(labels, TRUTH.labels[rows])
        self.tried.append(rows.tolist())
        predictions = TRUTH.test_labels.copy()
        if TREASURE not in rows:
            predictions[1:] = 1 - predictions[1:]
        head = LinearHead(np.eye(2, 4, dtype=np.float32), np.zeros(2, np.float32))
        return Fit(EMBEDDINGS, head, predictions)


def pool_beside(labeled: np.ndarray) -> Pool:
    ids = np.setdiff1d(np.arange(ROWS), labeled)
    head = acquisition.LinearHead(np.eye(2, 4, dtype=np.float32), np.zeros(2, np.float32))
    return Pool(EMBEDDINGS[ids], EMBEDDINGS[labeled], TRUTH.labels[labeled], 2, head, ids)


def test_oracle_takes_the_batch_after_which_most_test_images_are_known(monkeypatch):
    monkeypatch.setattr(oracle, "PROPOSERS", {"margin": 1, "random": 30})
    learner, labeled = TreasureLearner(), np.array([0, 1, 2, 3])
    pool = pool_beside(labeled)
    chosen = BestOfStrategies(learner, TRUTH, RULE).choose(pool, 3, np.random.default_rng(0))
    assert TREASURE in pool.ids[chosen.rows]
    assert chosen.statistics["strategy"] == "random"
    assert len(chosen.rows) == chosen.batch_size == 3
    assert len(learner.tried) == 31
    assert all(tried[:4] == [0, 1, 2, 3] and len(set(tried)) == 7 for tried in learner.tried)


def test_oracle_is_taught_nothing_by_images_of_no_class(monkeypatch):
    monkeypatch.setattr(oracle, "PROPOSERS", {"random": 5})
    labels = np.where(np.arange(ROWS) % 5 == 0, OF_NO_CLASS, TRUTH.labels)
    learner, shown = TreasureLearner(), np.array([0, 1, 2, 3])
    chosen = BestOfStrategies(learner, replace(TRUTH, labels=labels), RULE).choose(
        pool_beside(shown), 20, np.random.default_rng(0)
    )
    assert len(chosen.rows) == 20
    assert all(row % 5 for tried in learner.tried for row in tried)


def test_oracle_takes_the_first_proposal_when_none_is_better(monkeypatch):
    monkeypatch.setattr(oracle, "PROPOSERS", {"margin": 1, "random": 1})
    labeled = np.array([TREASURE, 2])
    pool = pool_beside(labeled)
    chosen = BestOfStrategies(TreasureLearner(), TRUTH, RULE).choose(
        pool, 30, np.random.default_rng(0)
    )
    assert chosen.statistics["strategy"] == "margin"
    assert len(chosen.rows) == 30


def test_proposals_come_from_parts_of_the_pool_of_many_sizes(monkeypatch):
    monkeypatch.setattr(oracle, "PROPOSERS", {"random": 50})
    seen = []

    class Spy(Rule):
        def choose(self, pool, budget, generator, *, supply):
            seen.append(len(pool.ids))
            return super().choose(pool, budget, generator, supply=supply)

    pool, rule = pool_beside(np.array([0, 1])), Spy(RULE.strategy, RULE.cold_start, RULE.epsilon)
    BestOfStrategies(TreasureLearner(), TRUTH, rule).choose(pool, 2, np.random.default_rng(0))
    assert min(seen) >= 8
    assert max(seen) <= 38
    assert len(set(seen)) > 15


def test_oracle_gives_equal_rounds_when_it_is_repeated():
    def rounds():
        learner = TreasureLearner()
        plan = Plan(first=4, budget=3, rounds=2)
        found = replay(learner, TRUTH, plan, BestOfStrategies(learner, TRUTH, RULE), 0)
        return [(row.n_labeled, row.accuracy) for row in found], learner.tried

    assert rounds() == rounds()


def test_oracle_is_no_strategy():
    assert ORACLE not in strategy_names()
    assert set(oracle.PROPOSERS) <= set(strategy_names())


def test_missing_has_runs_of_the_oracle_only_when_asked_for_and_where_heads_are_fitted(tmp_path):
    file = tmp_path / "rows.csv"
    head = next(setting for setting in EVIDENCE if setting.network == "head")
    others = [
        replace(head, name="cold", is_cold=True),
        Setting("mlp", "digits", "mlp", "random", 5),
        replace(head, name="tuned", network="blocks:2"),
    ]
    settings = [head, *others]
    asked = missing(settings, [ORACLE], file)
    assert {run.setting for run in asked} == {head}
    assert {run.strategy for run in asked} == {ORACLE}
    assert ORACLE not in {run.strategy for run in missing(settings, None, file)}


def curves(setting, **accuracy) -> Curves:
    arrays = {
        name: np.array([[0.0, value], [0.0, value + 0.02]]) for name, value in accuracy.items()
    }
    return Curves(setting, np.array([10, 20]), arrays, {})


def test_how_far_gives_the_share_of_the_gap_that_auto_closes():
    found = [curves("own", random=0.5, auto=0.6, margin=0.65, boss=0.9)]
    # Means over the two seeds: each a hundredth more. (0.61 - 0.51) / (0.91 - 0.51) = 25 %.
    assert "| own | 2 | 51.0 | 61.0 | 66.0 (margin) | 91.0 | 25 % |" in list(how_far(found))


@pytest.mark.parametrize("strategies", [{"random": 0.5, "boss": 0.9}, {"random": 0.9, "auto": 0.9}])
def test_how_far_says_nothing_without_the_oracle_or_auto(strategies):
    assert list(how_far([curves("own", **strategies)])) == []


def test_how_far_gives_no_share_when_the_oracle_is_not_ahead_of_random():
    lines = list(how_far([curves("own", random=0.5, auto=0.6, boss=0.5)]))
    assert "| own | 2 | 51.0 | 61.0 | 61.0 (auto) | 51.0 |  |" in lines


def test_run_of_the_oracle_begins_as_all_others_do(monkeypatch, tmp_path):
    monkeypatch.setattr(oracle, "PROPOSERS", {"random": 2})
    setting = Setting("few", "digits", "head", "pretrained", 1, rounds=1, pool=40, test=20)
    place = Place(tmp_path, tmp_path, None)
    first, last = run_rows(Run(setting, ORACLE, 0), place)
    others_first, _ = run_rows(Run(setting, "random", 0), place)
    assert (first.accuracy, first.n_labeled) == (others_first.accuracy, 10)
    assert (last.strategy, last.round, last.n_labeled) == (ORACLE, 1, 20)
