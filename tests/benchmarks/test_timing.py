"""The rows that benchmarks print and keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.timing import Goal, Report, percentile


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 95, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 3.0, 2.0, 1.0], 50, 2.0),
        # 95 % of 20 samples are 19: all but the largest; of 21 they are 19.95, so 20; of 33 they
        # are 31.35, so 32.
        ([float(number) for number in range(1, 21)], 95, 19.0),
        ([float(number) for number in range(1, 22)], 95, 20.0),
        ([float(number) for number in range(1, 34)], 95, 32.0),
        ([5.0, 6.0], 0, 5.0),
        ([5.0, 6.0], 100, 6.0),
    ],
)
def test_percentile_is_the_nearest_rank_when_samples_come_in_any_order(
    samples: list[float], percent: float, expected: float
) -> None:
    assert percentile(samples, percent) == expected


def test_percentile_raises_when_there_is_no_sample() -> None:
    with pytest.raises(ValueError, match="one sample or more"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (Goal(50), 50, "goal at most 50: reached"),
        (Goal(50), 50.1, "goal at most 50: MISSED"),
        (Goal(90, is_upper=False), 90, "goal at least 90: reached"),
        (Goal(90, is_upper=False), 89.9, "goal at least 90: MISSED"),
    ],
)
def test_verdict_tells_reached_from_missed_when_at_the_limit_and_past_it(
    goal: Goal, value: float, verdict: str
) -> None:
    assert goal.verdict(value) == verdict


def test_report_prints_and_keeps_every_row_when_it_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    report = Report(file)

    report.add("answer", 12.345, "ms", Goal(10))
    first = json.loads(file.read_text())
    report.add("train", 3, "s")

    rows = [
        {"what": "answer", "value": 12.345, "unit": "ms"},
        {"what": "train", "value": 3, "unit": "s"},
    ]
    assert first == rows[:1]
    assert json.loads(file.read_text()) == rows
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["12.35", "ms", "answer", "(goal", "at", "most", "10:", "MISSED)"],
        ["3.00", "s", "train"],
    ]


def test_report_writes_nothing_when_no_file_is_asked_for(tmp_path: Path) -> None:
    Report(None).add("train", 3, "s")

    assert list(tmp_path.iterdir()) == []
