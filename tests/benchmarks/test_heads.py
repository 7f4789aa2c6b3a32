"""What a kind of head is worth: rows from real learners, a table of their means."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from backend.errors import SettingsError
from benchmarks import heads
from benchmarks.curves.bench import Place, stage
from benchmarks.curves.settings import Setting
from benchmarks.heads import Row, main, measured, table


def test_command_measures_each_head_on_the_same_labels(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(heads, "COUNTS", (20, 40, 100_000))
    file = tmp_path / "rows.json"
    arguments = ["--setting", "digits, bundled", "--heads", "lda", "means", "--seeds", "2"]
    assert main([*arguments, "--features", str(tmp_path), "--json", str(file)]) == 0
    rows = [Row(**row) for row in json.loads(file.read_text())]
    seen = [(row.head, row.seed, row.n_labeled) for row in rows]
    assert seen == [(h, s, n) for h in ("lda", "means") for s in (0, 1) for n in (20, 40)]
    assert all(0.2 < row.accuracy < 1 and 0 < row.log_loss < 4 for row in rows)
    assert "### digits, bundled ViT (2 draws)" in capsys.readouterr().out


def test_accuracy_is_near_that_of_scikit_learns_lda_on_the_same_embeddings(tmp_path):
    place = Place(tmp_path, tmp_path, None)
    setting = Setting("digits", "digits", "head", "pretrained", 1, seeds=1, head="lda")
    row = next(row for row in measured(setting, 0, place) if row.n_labeled == 200)
    ready = stage(setting, 0, place)
    labeled = np.random.default_rng(0).permutation(len(ready.truth.labels))[:200]
    others = np.setdiff1d(np.arange(len(ready.truth.labels)), labeled)
    pool = ready.learner.untrained()
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=[0.1] * 10)
    other.fit(pool[labeled], ready.truth.labels[labeled])
    assert row.accuracy == pytest.approx(
        other.score(pool[others], ready.truth.labels[others]), abs=0.05
    )


def test_table_has_means_over_the_draws():
    rows = [
        Row("s", head, seed, count, accuracy + seed / 10, 1.0 + seed, 0.1)
        for head, accuracy in (("auto", 0.6), ("adam", 0.5))
        for seed in (0, 1)
        for count in (20, 50)
    ]
    assert list(table(rows)) == [
        "### s (2 draws)",
        "",
        "| labels | 20 | 50 |",
        "| --- | --- | --- |",
        "| auto | 65.0 / 1.50 | 65.0 / 1.50 |",
        "| adam | 55.0 / 1.50 | 55.0 / 1.50 |",
        "",
    ]


def test_speed_times_the_choice_for_each_size(capsys, monkeypatch):
    monkeypatch.setattr(heads, "SPEEDS", ((20, 4), (30, 3)))
    monkeypatch.setattr(heads, "SPEED_DIM", 8)
    assert main(["--speed"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit("|", 2)[0] for line in lines[2:]] == ["| 20 | 4 ", "| 30 | 3 "]


def test_command_says_what_it_needs(tmp_path, capsys):
    with pytest.raises(SettingsError, match="no setting's name holds lenet"):
        main(["--setting", "lenet"])
    with pytest.raises(SettingsError, match="--seeds is 0"):
        main(["--seeds", "0"])
    assert main(["--setting", "ViT-S", "--features", str(tmp_path)]) == 0
    assert "not run: CIFAR-10, ViT-S: " in capsys.readouterr().out
