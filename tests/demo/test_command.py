"""The whole demo, as `make demo` starts it."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.demo import command
from backend.harness.child import free_port

ROOT = Path(__file__).resolve().parents[2]
# More than two people label while a busy machine takes its time for a round.
IMAGES_A_CLASS = 100
SETTINGS = {
    "ALFAMIX_BACKBONE": "bundled",
    "ALFAMIX_FINETUNE": "head",
    "ALFAMIX_THREADS": "1",
    "ALFAMIX_BUDGET": "6",
    "ALFAMIX_POLL_S": "1",
}


def write_shades(root: Path) -> Path:
    """Two classes that any network tells apart: many dark and many bright noisy images."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("bright", 200)):
        (root / name).mkdir(parents=True)
        for number in range(IMAGES_A_CLASS):
            pixels = rng.integers(level, level + 16, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@contextmanager
def running_demo(command_line: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The demo, its output in a pipe; it is ended where a test fails."""
    demo = subprocess.Popen(
        command_line, cwd=ROOT, env=os.environ | SETTINGS, stdout=subprocess.PIPE, text=True
    )
    try:
        yield demo
        demo.wait()
    finally:
        demo.terminate()
        demo.communicate()


@pytest.fixture
def demo_command(tmp_path, label_studio_venv) -> list[str]:
    """A demo in tmp_path/demo on the shades."""
    return [
        *(sys.executable, "-m", "backend", "demo", "--no-browser"),
        *("--folder", str(tmp_path / "demo"), "--dataset", str(write_shades(tmp_path / "shades"))),
        *("--label-studio-venv", str(label_studio_venv)),
        *("--port", str(free_port()), "--backend-port", str(free_port())),
    ]


def processes_on(folder: Path) -> list[str]:
    """The command lines and environments of running processes that name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and int(process.name) != os.getpid():
            found.append(text.decode(errors="replace"))
    return found


def rounds_printed(output: str) -> list[tuple[int, int]]:
    """Round and number of labels of each line about a round."""
    return [(int(a), int(b)) for a, b in re.findall(r"round +(\d+) +(\d+) labels", output)]


@pytest.mark.soak
@pytest.mark.label_studio
def test_demo_goes_on_where_it_was_when_interrupted(tmp_path, demo_command):
    demo_command += ["--annotate", "2", "--rounds", "1"]

    with running_demo(demo_command) as demo:
        first = list(
            itertools.takewhile(lambda line: not line.startswith("round   1"), demo.stdout)
        )
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 0
    assert "Ended" in rest
    assert processes_on(tmp_path) == []

    with running_demo([*demo_command, "--exit"]) as demo:
        second = demo.stdout.read()
    assert demo.returncode == 0
    assert processes_on(tmp_path) == []

    assert "Importing 160 images" in "".join(first)
    assert "nothing is trained yet; maxherding chose what comes first" in "".join(first)
    assert rounds_printed("".join(first)) == [(0, 0)]
    assert "Importing" not in second
    assert_rounds_follow(rounds_printed(second), first_round=1)
    assert "100.0% right on 40 held-out images" in second


def assert_rounds_follow(rounds: list[tuple[int, int]], first_round: int) -> None:
    """Two rounds or more, each later than the last and with more labels."""
    numbers, labels = zip(*rounds, strict=True)
    assert len(rounds) >= 2
    assert numbers[0] >= first_round
    assert labels[0] >= 6
    assert sorted(set(numbers)) == list(numbers)
    assert sorted(set(labels)) == list(labels)


@pytest.mark.label_studio
@pytest.mark.parametrize(("more", "status"), [([], 0), (["--exit", "--annotate", "1"], 1)])
def test_status_tells_whether_the_demo_was_done_when_it_is_interrupted(demo_command, more, status):
    with running_demo([*demo_command, *more]) as demo:
        for line in demo.stdout:
            if "Label Studio starts" in line:
                break
        demo.send_signal(signal.SIGTERM)

    assert demo.returncode == status


def test_status_is_1_when_there_is_no_label_studio(tmp_path, capsys, monkeypatch):
    # The test process keeps its own handlers.
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    root = write_shades(tmp_path / "shades")
    folders = ["--folder", str(tmp_path / "demo"), "--dataset", str(root)]

    status = command.main([*folders, "--label-studio-venv", str(tmp_path / "nowhere")])

    assert status == 1
    assert "no Label Studio at" in capsys.readouterr().err


def test_status_is_2_when_an_option_is_unknown(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--unknown"])

    assert ended.value.code == 2


def test_help_needs_no_torch():
    script = (
        "import sys, backend.demo.command as c; assert 'torch' not in sys.modules; c.main(['-h'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "--annotate" in done.stdout


def test_dataset_comes_from_the_environment_when_no_option_names_one(monkeypatch):
    monkeypatch.setenv("DATASET", "pets")

    assert command._parser().parse_args([]).dataset == Path("pets")
    assert command._parser().parse_args(["--dataset", "cars"]).dataset == Path("cars")
