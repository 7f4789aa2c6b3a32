"""The page: says what the rows carry, of whatever was run, and nothing of what was not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.curves.data import DataError
from benchmarks.curves.in_short import in_short
from benchmarks.curves.page import Examples, Origin
from benchmarks.curves.pictures import file_name
from benchmarks.curves.report import write_report
from benchmarks.curves.rows import Row, append_rows
from benchmarks.curves.settings import Setting
from benchmarks.curves.tables import Curves

NOWHERE = Origin("python -m benchmarks learning-curves", [], {}, {})
OWN = Setting("own", "folder/of|pets", "mlp", "random", 5, pool=1500)


def run(setting, strategy, seed, accuracies, first_round=0):
    return [
        Row(setting, strategy, seed, number, 10 * (number + 1), accuracy, 1.0, 0.1 * number)
        for number, accuracy in enumerate(accuracies, start=first_round)
    ]


def runs(setting, first_round=0, **accuracies):
    return [
        row
        for name, curve in accuracies.items()
        for seed in range(3)
        for row in run(
            setting, name.replace("_", "-"), seed, np.add(curve, 0.01 * seed), first_round
        )
    ]


def report(tmp_path, rows, origin=NOWHERE):
    append_rows(tmp_path / "rows.csv", rows)
    write_report(tmp_path, origin)
    return (tmp_path / "README.md").read_text(encoding="utf-8")


def test_page_tells_first_batches_apart_when_their_settings_are_not_the_commands(tmp_path):
    rows = runs("own", random=[0.2, 0.3], margin=[0.2, 0.4])
    rows += runs("first batch: own", 1, random=[0.25], typiclust=[0.31])
    rows += runs("first batch: other", 1, random=[0.5], maxherding=[0.4])
    page = report(tmp_path, rows)
    assert "| setting | maxherding | typiclust | random |" in page
    assert "| own |  | **32.0** (+6.0 ± 0.0) | 26.0 |" in page
    assert "| other | 41.0 (-10.0 ± 0.0) |  | **51.0** |" in page
    assert "## first batch" not in page
    assert page.count("## own") == 1


def test_page_says_nothing_of_alfa_mix_when_it_was_not_run(tmp_path):
    page = report(tmp_path, runs("own", random=[0.2, 0.3], margin=[0.2, 0.4]))
    assert "against" not in page
    assert "| margin | 41.00 | 41.00 | +10.00 ± 0.00 | wins |" in page


def test_page_names_what_is_unfinished_and_not_run_once(tmp_path, capsys):
    rows = runs("own", random=[0.2, 0.3], auto=[0.2, 0.4])
    rows += run("begun", "random", 0, [0.1, 0.2])
    not_run = {"absent": "no data", "own": "no data here", "begun": "no data here"}
    origin = Origin("command", [OWN], {OWN.data: Examples(2000, 900, {"bad image": 2})}, not_run)
    page = report(tmp_path, rows, origin)
    assert "- unfinished: begun: needed are two seeds" in page
    assert "- not run: absent: no data" in page
    assert "no data here" not in page
    assert "- of|pets: 2,000 to draw pools from, 900 to test on" in page
    assert "- left out of of|pets: 2 x bad image" in page
    assert "the pool: drawn 1,500 anew for each seed; the test: all there is." in page
    assert "unfinished, not compared: begun" in capsys.readouterr().out


def test_auto_is_held_against_its_rival_over_all_settings_and_the_seeds_that_both_have(tmp_path):
    rows = runs("one", random=[0.2, 0.3], auto=[0.2, 0.5], uherding=[0.2, 0.4], margin=[0.2, 0.3])
    rows += runs("two", random=[0.2, 0.3], auto=[0.2, 0.4], uherding=[0.2, 0.5], margin=[0.2, 0.3])
    # A seed that margin lacks; differences in points: three of +10, three of -10, one of +30.
    for name, last in (("random", 0.3), ("auto", 0.8), ("uherding", 0.5)):
        rows += run("one", name, 3, [0.2, last])
    page = report(tmp_path, rows)
    # Mean 30 / 7; deviation sqrt((900 + 600 - 7 * (30 / 7) ** 2) / 6); Student's 2.4469 at 6.
    assert "over all 2 settings together, paired over the 7 seeds" in page
    assert "+4.29 points of mean accuracy [-9.70, +18.27]" in page


def test_report_is_refused_when_there_are_no_rows(tmp_path):
    with pytest.raises(DataError, match="has no rows"):
        write_report(tmp_path, NOWHERE)
    assert not list(tmp_path.iterdir())


def test_in_short_counts_labels_when_a_setting_never_reaches_random():
    def curves(setting, **accuracy):
        arrays = {name.replace("_", "-"): np.array([c, c], float) for name, c in accuracy.items()}
        return Curves(setting, np.array([10, 20, 30]), arrays, {})

    lines = "\n".join(
        in_short(
            [
                curves("half", random=[0, 0.1, 0.2], alfa_mix=[0, 0.2, 0.3]),
                curves("never", random=[0, 0.1, 0.2], alfa_mix=[0, 0.1, 0.1]),
                curves("equal", random=[0, 0.1, 0.2], alfa_mix=[0, 0.1, 0.2]),
                curves("without", random=[0, 0.1, 0.2], margin=[0, 0.1, 0.2]),
            ]
        )
    )
    # 20 of 30 labels, never, 30 of 30: the median of 2/3, inf and 1 is 1.
    assert "on 100 % of random's labels (median of 3 settings; 67 % to 100 %, in 1 never" in lines
    assert "wins in 1 of 3 settings, ties in 1, loses in 1 (never)" in lines
    # Cells: three settings of two rounds; beaten in the last round of `never`, ahead in both of
    # `half`; seeds that agree are significant.
    assert "significantly beaten in 1 of 6 cells (16.7 %; goal: at most 1 %" in lines
    assert "`auto`" not in lines


def test_file_name_keeps_letters_of_any_script():
    assert file_name("CIFAR-10, ViT-S head, 1 a class") == "cifar-10-vit-s-head-1-a-class"
    assert file_name("猫, head/blocks:2") == "猫-head-blocks-2"


def test_heads_are_compared_by_the_labels_for_randoms_last_accuracy_by_adam(tmp_path):
    rows = [
        *runs("own, head adam", random=[0, 0.2, 0.4], alfa_mix=[0, 0.4, 0.5]),
        *runs("own", random=[0, 0.3, 0.5], alfa_mix=[0, 0.1, 0.3], auto=[0.4, 0.5, 0.6]),
        *runs("other", random=[0, 0.3, 0.5], auto=[0, 0.5, 0.6]),
        *runs("other, head adam", random=[0, 0.2, 0.4]),
    ]
    text = report(tmp_path, rows)
    # 30 labels give 40 %: 20, 25, never and 10 by the others; with auto 18 in the other setting.
    assert "| own | 3 | 67 % | 83 % | never | 33 % |" in text
    assert "| other | 3 |  | 83 % |  | 60 % |" in text
    assert "| **median** | | **67 %** | **83 %** | **never** | **47 %** |" in text
    assert "## own, head adam" not in text
    assert not list(tmp_path.glob("*head-adam*"))


def test_page_holds_the_oracle_apart(tmp_path):
    strategies = {"random": [0.2, 0.3], "auto": [0.2, 0.5], "margin": [0.2, 0.4]}
    rows = runs("own", **strategies)
    oracle = [row for row in runs("own", boss=[0.2, 0.9]) if row.seed < 2]
    assert "How far from the best" not in report(tmp_path, rows)
    page = report(tmp_path, oracle)
    # Of the two seeds that the oracle has: 30.5, 50.5 and 90.5 %.
    assert "## How far from the best" in page
    assert "| own | 2 | 30.5 | 50.5 | 50.5 (auto) | 90.5 | 33 % |" in page
    assert page.count("boss") == 1, "in its own section alone"
    assert "3 seeds, 10 to 20 labels" in page
