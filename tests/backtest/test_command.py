"""The command on a project without Label Studio, with a tiny ViT."""

from __future__ import annotations

import csv
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.backtest import command, plot
from backend.backtest.results import COLUMNS, Curves
from backend.label_studio import client, images
from tests.backtest.conftest import Fetcher, ReadOnlyClient, labeled_task, labeled_tasks

Backtest = Callable[..., int]


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    fetcher = Fetcher()
    monkeypatch.setattr(images, "ImageFetcher", lambda *_, **__: fetcher)
    return fetcher


@pytest.fixture
def backtest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_backend: Path, fetcher: Fetcher
) -> Backtest:
    """Run the command on a project of these tasks; results go to <tmp_path>/out."""

    def run(tasks: list[dict], *arguments: str) -> int:
        monkeypatch.setattr(client, "LabelStudioClient", lambda *_: ReadOnlyClient(tasks))
        quick = ("--without", "unclear", "--seeds", "2", "--rounds", "3")
        fixed = ("--project", "7", "--out", str(tmp_path / "out"))
        return main(["backtest", *fixed, *quick, *arguments])

    return run


def test_backtest_reports_writes_and_plots_and_leaves_model_dir_alone(
    backtest: Backtest,
    fetcher: Fetcher,
    tiny_backend: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tasks = [*labeled_tasks(110), labeled_task(200, "dark", uri="gone-1")]

    status = backtest(tasks, "--strategies", "alfa-mix,margin")

    shown = capsys.readouterr()
    assert status == 0
    assert "their images cannot be read: 1\n" in shown.out
    assert "task 200: 404 for gone-1" in shown.out
    assert "110 labels of 2 classes" in shown.out
    assert "left out     the classes unclear" in shown.out
    assert "drawn at random, the same for every strategy of a seed" in shown.out
    assert "3 of 11 labels (shrunk from the project's budget of 30" in shown.out
    for strategy in ("alfa-mix", "margin"):
        assert re.search(rf"^{strategy}: ", shown.out, re.MULTILINE)
    assert re.search(r"24/24 \[.*<00:00", shown.err)  # the bar with the time left
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"report.txt", "rounds.csv", "learning-curves.png", "learning-curves.svg"}
    assert shown.out.split("\n\n")[1] in (tmp_path / "out" / "report.txt").read_text()
    assert (tmp_path / "out" / "learning-curves.png").read_bytes()[1:4] == b"PNG"
    assert sorted(fetcher.fetched) == sorted(task["data"]["picture"] for task in tasks)
    assert not tiny_backend.exists()


def test_backtest_writes_a_row_a_round_with_the_same_first_batch(
    backtest: Backtest, tmp_path: Path
) -> None:
    backtest(labeled_tasks(100), "--strategies", "margin")

    with (tmp_path / "out" / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    found = [(row["strategy"], row["seed"], row["n_labeled"]) for row in rows]
    assert len(set(found)) == len(found) == 2 * 2 * 4
    assert {row["n_labeled"] for row in rows} == {"10", "20", "30", "40"}
    first = [row for row in rows if row["round"] == "0"]
    assert len({(row["seed"], row["accuracy"]) for row in first}) == 2


def test_backtest_lets_the_cold_start_choose_when_asked_to(
    backtest: Backtest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest(labeled_tasks(100), "--strategies", "margin", "--own-first-batch") == 0

    assert "chosen by the project's cold start; random draws its own" in capsys.readouterr().out
    with (tmp_path / "out" / "rounds.csv").open(newline="") as file:
        counts = {(row["round"], row["n_labeled"]) for row in csv.DictReader(file)}
    assert counts == {("1", "10"), ("2", "20"), ("3", "30"), ("4", "40")}


def test_backtest_ends_with_1_before_any_image_when_it_is_too_early(
    backtest: Backtest, fetcher: Fetcher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest(labeled_tasks(99)) == 1

    assert "too early to backtest project 7: it has 99 usable labels" in capsys.readouterr().err
    assert fetcher.fetched == []
    assert not (tmp_path / "out").exists()


def test_backtest_ends_with_1_when_unreadable_images_leave_too_few(
    backtest: Backtest, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [labeled_task(200 + n, "dark", uri=f"gone-{n}") for n in range(8)]

    assert backtest([*labeled_tasks(93), *broken]) == 1

    shown = capsys.readouterr()
    assert "their images cannot be read: 8\n" in shown.out
    assert "and 3 more" in shown.out
    assert "93 usable labels, needed are 100 (7 more)" in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "1"], "--seeds is 1; needed is 2 or more"),
        (["--rounds", "0"], "--rounds is 0; needed is 1 or more"),
        (["--strategies", "alfamix"], "unknown strategy alfamix; known are auto, alfa-mix"),
        (["--out", "/dev/null/x"], "cannot be written to /dev/null/x"),
    ],
)
def test_backtest_ends_with_1_and_a_sentence_when_an_option_does_not_suit(
    backtest: Backtest,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert backtest(labeled_tasks(100), *arguments) == 1

    assert message in capsys.readouterr().err


def test_picture_has_a_curve_a_strategy_and_a_strip_for_each_but_random() -> None:
    counts, accuracy = np.array([10, 20]), np.array([[0.5, 0.6], [0.5, 0.8]])
    curves = {"margin": Curves(counts, accuracy), "random": Curves(counts, accuracy / 2)}

    axes = plot.draw(curves, "a project that cost $5 and $6", "subtitle").axes

    assert len(axes) == 2
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["margin", "random"]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), [50, 70])
    np.testing.assert_allclose(axes[1].lines[-1].get_ydata(), [25, 35])


def test_backtest_is_left_as_by_ctrl_c_when_it_is_terminated(
    monkeypatch: pytest.MonkeyPatch, tiny_backend: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "run", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert main(["backtest", "--project", "7"]) == command.EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "stopped" in capsys.readouterr().err
