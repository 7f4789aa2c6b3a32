"""The command: runs what is missing, goes on, refuses nonsense by name."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backend.acquisition import strategy_names
from benchmarks.curves.bench import Place
from benchmarks.curves.data import DataError
from benchmarks.curves.rows import Row, append_rows, read_rows
from benchmarks.curves.runs import Run, missing, run_rows
from benchmarks.curves.settings import EVIDENCE, Setting
from benchmarks.learning_curves import _command, _own, _parser, _settings, _strategies, main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["x,y,kind"]
    for number in range(60):
        kind = number % 2
        lines.append(f"{kind + rng.normal():.3f},{rng.normal():.3f},{'ab'[kind]}")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines))
    return path


def command_line(table):
    own = ["--data-set", f"{table}:kind", "--network", "mlp", "--initialization", "random"]
    strategies = ["--strategies", "alfa-mix", "auto", "margin"]
    out = ["--out", str(table.parent / "out"), "--features", str(table.parent / "features")]
    return [*own, "--per-class", "2", "--jobs", "1", *strategies, *out]


def run(table, *more):
    return main([*command_line(table), "--rounds", "3", "--seeds", "2", *more])


def test_command_writes_rows_pictures_and_page_and_goes_on_where_it_was(table, capsys):
    assert run(table) == 0
    out = table.parent / "out"
    rows = read_rows(out / "rows.csv")
    # strategies, with random, x seeds x (first labels and three rounds)
    assert len(rows) == 4 * 2 * 4
    assert sorted({row.n_labeled for row in rows}) == [4, 8, 12, 16]
    first = {(row.seed, row.accuracy) for row in rows if row.round == 0}
    assert len(first) == 2, "all strategies of a seed share the first labels"
    page = (out / "README.md").read_text()
    assert "`alfa-mix` against the paper's eight baselines" in page
    assert str(table.parent) not in page
    assert {p.suffix for p in out.iterdir()} >= {".png", ".svg"}
    # One run is lost: only that one is computed again, with the same accuracies.
    lost = [row for row in rows if (row.strategy, row.seed) == ("margin", 1)]
    (out / "rows.csv").unlink()
    append_rows(out / "rows.csv", [row for row in rows if row not in lost])
    capsys.readouterr()
    assert run(table) == 0
    assert "1 runs to do" in capsys.readouterr().out
    again = read_rows(out / "rows.csv")[-4:]
    assert [row.accuracy for row in again] == [row.accuracy for row in lost]
    # The rows are drawn also where their data are gone.
    table.unlink()
    (out / "README.md").unlink()
    assert run(table, "--no-runs") == 0
    assert "not run" not in (out / "README.md").read_text()


def test_settings_of_ones_own_have_a_name_each_when_anything_differs():
    base = ["--data-set", "digits", "--network", "mlp", "--initialization", "random"]
    others = [
        ["--initialization", "continued"],
        ["--rounds", "3"],
        ["--per-class", "1"],
        ["--network", "head", "--initialization", "pretrained"],
        ["--image-px", "56"],
        ["--backbone", "vit_small_patch16_224"],
    ]
    named = [_own(_parser().parse_args([*base, *other])).name for other in ([], *others)]
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--setting", "no such"], "no setting's name holds no such"),
        (["--strategies", "clairvoyance"], "unknown strategies clairvoyance; known are auto"),
        (["--seeds", "0"], "--seeds is 0; needed is 1 or more"),
        (["--data-set", "nowhere"], "found no 'nowhere'"),
        (["--data-set", "digits", "--network", "lenet"], "network is 'lenet'; needed is mlp"),
        (["--data-set", "breast-cancer", "--network", "resnet18"], "resnet18 needs images"),
        (["--data-set", "breast-cancer", "--network", "head"], "a ViT needs images"),
        (
            ["--data-set", "digits", "--network", "head", "--initialization", "random"],
            "needed is pretrained",
        ),
        (
            [
                "--data-set=breast-cancer",
                "--network=mlp",
                "--initialization=random",
                "--per-class=25",
            ],
            "450 labels are to be given in the end, 50 a round; found is a pool of 398",
        ),
        (["--data-set", "digits", "--backbone", "vit_small_patch16_224"], "needed is --weights"),
    ],
)
def test_command_names_what_is_wrong_and_needed(tmp_path, capsys, arguments, said):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_rows_are_refused_when_the_file_is_another(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="has the columns a, b; needed are setting"):
        read_rows(path)
    path.unlink()
    append_rows(path, [Row("one, two", "badge", 0, 1, 2, 0.5, 1.0, 0.25)])
    assert read_rows(path) == [Row("one, two", "badge", 0, 1, 2, 0.5, 1.0, 0.25)]
    quoted = [Row('my "set", head', "badge", 0, 1, 2, 0.5, 1.0, 0.25)]
    append_rows(path, quoted)
    assert read_rows(path)[1:] == quoted
    path.write_text(path.read_text().replace("0.5", "half"))
    with pytest.raises(DataError, match="line 2 cannot be read"):
        read_rows(path)


def test_rows_of_a_file_without_heads_are_by_steps_and_stay_when_others_are_added(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "setting,strategy,seed,round,n_labeled,accuracy,train_s,select_s\n"
        '"digits, head",badge,3,1,20,0.5,1,0.25\n'
    )
    old = Row("digits, head", "badge", 3, 1, 20, 0.5, 1.0, 0.25, head="adam")
    assert read_rows(path) == [old]
    new = Row("digits, head, head auto", "badge", 3, 1, 20, 0.75, 1.0, 0.25, head="auto")
    append_rows(path, [new])
    append_rows(path, [new])
    assert read_rows(path) == [old, new, new]


def test_head_makes_another_setting_whose_rows_name_it(table):
    usual, other = (
        _settings(_parser().parse_args([*command_line(table), "--rounds", "1", *more]))[0]
        for more in ([], ["--head", "lda"])
    )
    assert other.name == f"{usual.name}, head lda"
    place = Place(table.parent, table.parent, None)
    rows = [run_rows(Run(one, "random", 0), place) for one in (usual, other)]
    assert [{(row.setting, row.head) for row in found} for found in rows] == [
        {(usual.name, "auto")},
        {(other.name, "lda")},
    ]
    assert _command(_parser().parse_args(["--head", "lda"])).endswith("learning-curves --head lda")


def test_rows_begin_with_their_header_when_a_run_was_killed_before_its_first_row(tmp_path):
    path = tmp_path / "rows.csv"
    path.touch()
    assert read_rows(path) == []
    rows = [Row("one", "badge", 0, 1, 2, 0.5, 1.0, 0.25)]
    append_rows(path, rows)
    assert read_rows(path) == rows


def test_missing_runs_begin_with_five_seeds_of_every_setting(tmp_path):
    settings = [Setting(name, "digits", "mlp", "random", 1, seeds=6) for name in "st"]
    append_rows(tmp_path / "rows.csv", [Row("s", "random", 0, 0, 10, 0.5, 1.0, 0.0)])
    runs = missing(settings, ["random"], tmp_path / "rows.csv")
    assert [(run.setting.name, run.seed) for run in runs] == [
        *(("s", seed) for seed in (1, 2, 3, 4)),
        *(("t", seed) for seed in range(5)),
        ("s", 5),
        ("t", 5),
    ]


def test_quick_part_leaves_out_what_takes_as_long_as_the_rest():
    arguments = _parser().parse_args(["--quick"])
    settings = _settings(arguments)
    assert {setting.seeds for setting in settings} == {5}
    assert not {"full", "resnet18", "densenet121"} & {setting.network for setting in settings}
    assert "blocks:2" in {setting.network for setting in settings}
    named = _strategies(arguments)
    assert {*strategy_names()} - {*named} == {"gcnal", "alfa-mix-learned"}
    assert _strategies(_parser().parse_args(["--quick", "--strategies", "gcnal"]))[0] == "gcnal"


def test_evidence_covers_what_the_paper_varies():
    assert len(EVIDENCE) >= 12
    assert {setting.per_class for setting in EVIDENCE} == {1, 5, 10}
    assert all(setting.seeds >= 5 and setting.rounds >= 8 for setting in EVIDENCE)
    assert len({setting.name for setting in EVIDENCE}) == len(EVIDENCE)
    assert {"full", "resnet18", "densenet121", "blocks:2"} < {one.network for one in EVIDENCE}
    assert sum((setting.pool or 0) >= 10_000 for setting in EVIDENCE) >= 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_processes_end_with_the_command_when_it_is_ended_from_outside(table, number):
    command = [sys.executable, "-m", "benchmarks", "learning-curves", *command_line(table)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (table.parent / "out" / "rows.csv").exists())
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        status = process.wait(60)
    finally:
        process.kill()
    assert status == (130 if number == signal.SIGTERM else -signal.SIGKILL)
    assert children
    wait_until(lambda: all(is_gone(child) for child in children))
    rows = read_rows(table.parent / "out" / "rows.csv")
    assert len(rows) % 9 == 0, "whole runs of first labels and eight rounds"


def wait_until(happened):
    for _ in range(1200):
        if happened():
            return
        time.sleep(0.1)
    pytest.fail("waited for two minutes")


def is_gone(process_id):
    """Whether no such process runs; one that ended and nobody waited for counts as gone."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
