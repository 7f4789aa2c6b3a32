"""Tables, penalty matrix and verdicts, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.curves.data import DataError
from benchmarks.curves.penalty import AUTHORS, OURS, cells, penalties
from benchmarks.curves.rows import Row
from benchmarks.curves.tables import Curves, curves_of, unfinished
from benchmarks.curves.verdicts import counted, verdicts


def curves(setting="s", **accuracy):
    arrays = {name.replace("_", "-"): np.array(rows, float) for name, rows in accuracy.items()}
    rounds = next(iter(arrays.values())).shape[1]
    return Curves(setting, 10 * np.arange(1, rounds + 1), arrays, dict.fromkeys(arrays, 0.1))


def test_beats_agrees_with_scipy_when_differences_are_random():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 1, (6, 400)), rng.normal(0, 1, (6, 400))
    found = stats.ttest_rel(first, second)
    expected = (found.pvalue < 0.05) & (found.statistic > 0)
    assert 20 < expected.sum() < 380
    np.testing.assert_array_equal(OURS.beats(first, second), expected)


def test_beats_needs_a_difference_when_all_seeds_agree():
    same = np.full((5, 1), 0.5)
    assert not OURS.beats(same, same)[0] and not AUTHORS.beats(same, same)[0]
    assert OURS.beats(same + 0.25, same)[0]


def test_authors_test_calls_more_cells_won_when_t_lies_between_the_two_limits():
    # differences 1..5: mean 3, t = 3 / (1.5811 / sqrt 5) = 4.243; scaled below to t = 2.6 (ddof 1),
    # 2.907 with ddof 0; the limit of 4 degrees of freedom is 2.776 for both.
    spread = np.array([-2.0, -1, 0, 1, 2])[:, None]
    differences = spread + 2.6 * np.sqrt(2.5) / np.sqrt(5)
    assert not OURS.beats(differences, np.zeros((5, 1)))[0]
    assert AUTHORS.beats(differences, np.zeros((5, 1)))[0]


def test_penalties_count_rounds_after_the_first_when_one_strategy_wins_half():
    low = [[0.5, 0.5, 0.5], [0.6, 0.6, 0.6], [0.4, 0.4, 0.4]]
    high = [[0.5, 0.7, 0.5], [0.6, 0.8, 0.6], [0.4, 0.6, 0.4]]
    found = penalties([curves(a=high, b=low), curves("t", a=low, b=low)], ["a", "b"])
    np.testing.assert_array_equal(found.matrix, [[0, 0.5], [0, 0]])
    np.testing.assert_array_equal(found.mean_penalty(), [0, 0.5])
    assert found.setting_count == 2
    counts = cells([curves(a=high, b=low)], "b", ["a", "b"])
    assert (counts.won, counts.lost, counts.total) == (0, 1, 2)


def test_curves_keep_seeds_that_all_strategies_finished():
    rows = [
        Row("s", name, seed, number, 10 + number, 0.1 * seed + number, 1.0, number / 2)
        for name, seeds in (("random", 3), ("badge", 2))
        for seed in range(seeds)
        for number in (1, 0)
    ]
    (found,) = curves_of(rows)
    assert found.n_labeled.tolist() == [10, 11]
    np.testing.assert_allclose(found.accuracy["random"], [[0, 1], [0.1, 1.1]])
    assert found.select_s == {"random": 0.5, "badge": 0.5}
    assert curves_of(rows[:2]) == []
    assert unfinished(rows[:2]) == ["s"]
    assert unfinished(rows) == []


def test_curves_are_unfinished_when_random_is_missing():
    rows = [
        Row("s", "badge", seed, number, 10, 0.5, 1.0, 0.5) for seed in (0, 1) for number in (0, 1)
    ]
    assert curves_of(rows) == []
    assert unfinished(rows) == ["s"]


def test_cold_curves_keep_their_first_round_when_nothing_was_labeled_before():
    rows = [Row("s", "random", seed, 1, 10, 0.1 * seed, 1.0, 0.5) for seed in (1, 3)]
    (found,) = curves_of(rows)
    assert found.is_cold
    assert found.mean("random") == pytest.approx(0.2)


def test_curves_name_the_run_when_its_rounds_are_not_the_others():
    rows = [
        Row("s", name, seed, number, 10 + number, 0.5, 1.0, 0.5)
        for name in ("random", "badge")
        for seed in range(2)
        for number in range(3)
    ]
    with pytest.raises(
        DataError, match="s: badge with seed 1 has rows at 10, 11 labels, random at "
    ):
        curves_of(rows[:-1])


def test_verdicts_say_wins_and_half_the_labels_when_a_strategy_is_twice_as_fast():
    random = [[0.0, 0.2, 0.4], [0.0, 0.22, 0.4]]
    faster = [[0.0, 0.4, 0.6], [0.0, 0.4, 0.62]]
    found = curves(random=random, alfa_mix=faster)
    best, last = verdicts(found)
    assert (best.strategy, best.word, last.strategy, last.word) == (
        "alfa-mix",
        "wins",
        "random",
        "ties",
    )
    # random's last accuracy, 0.4, needs 30 labels; the other is there with 20.
    assert best.labels[2] == pytest.approx(20 / 30)
    assert last.labels == (1, 1, 1)
    assert best.gain.mean == pytest.approx(0.505 - 0.305)
    assert counted([found], "random", "alfa-mix") == {"wins": [], "ties": [], "loses": ["s"]}
