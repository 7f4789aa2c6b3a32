from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.pretraining import command
from backend.vision.network import BackboneSpec, load_backbone
from backend.vision.weights_file import read_weights

Write = Callable[[str, np.ndarray], Path]
SMALL_RUN = """
    --image-px 8 --patch-px 4 --width 8 --depth 1 --heads 2 --local-crops 1 --epochs 1 --threads 1
    --batch-size 256 --warmup-epochs 0 --out-dim 16 --hidden-dim 8 --bottleneck-dim 4
"""
SMALL = SMALL_RUN.split()
UNMOVED_RUN = "--lr 0 --min-lr 0 --local-crops 1 --epochs 1 --out-dim 16 --hidden-dim 8"


@pytest.fixture
def images(write_idx: Write) -> Path:
    """An IDX file of 520 images of 8 px."""
    return write_idx("images.gz", np.random.default_rng(0).integers(0, 256, (520, 8, 8)))


def test_main_writes_weights_that_the_backend_takes_when_it_ends(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "weights.safetensors"

    assert command.main(["--images", str(images), "--out", str(out), *SMALL]) == 0

    card = json.loads(out.with_suffix(".json").read_text())
    backbone = load_backbone(BackboneSpec("not used", out, feature_blocks=1))
    assert backbone.preprocessing.image_px == 8
    assert backbone.preprocessing.mean == pytest.approx(card["mean"])
    assert card["image_count"] == 520
    assert card["command"].startswith("python -m backend pretrain --images ")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images.gz",
        "weights.json",
        "weights.safetensors",
    ]


def test_main_goes_on_from_the_files_weights_when_init_names_it(
    images: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    command.main(["--images", str(images), "--out", str(first), *SMALL])

    exit_code = command.main(
        ["--images", str(images), "--out", str(second), "--init", str(first), *UNMOVED_RUN.split()]
    )

    assert exit_code == 0
    old, new = read_weights(first).state, read_weights(second).state
    assert all(torch.allclose(old[name], new[name], atol=1e-3) for name in old)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "vit_tiny_patch99"], "knows no model 'vit_tiny_patch99'"),
        (["--model", "resnet18", *SMALL], "timm cannot build resnet18"),
        ([*SMALL, "--image-px", "10"], "--image-px is 10; needed is a multiple of .* size 4"),
        ([*SMALL, "--local-px", "6"], "--local-px is 6; needed is a multiple of .* size 4"),
        ([*SMALL, "--heads", "3"], "timm cannot build"),
        ([*SMALL, "--init", "nowhere.pth"], "no weights file nowhere.pth"),
    ],
)
def test_main_says_what_is_needed_when_the_network_cannot_be(
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    out = ["--images", str(images), "--out", str(tmp_path / "weights.safetensors")]

    assert command.main([*out, *arguments]) == 1

    assert_said(capsys, words)


def test_main_counts_and_names_images_when_too_few_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{number}.png")
    for number in range(12):
        (tmp_path / f"broken{number:02}.jpg").write_bytes(b"nothing")

    exit_code = command.main(
        ["--images", str(tmp_path), "--out", str(tmp_path / "o.safetensors"), *SMALL]
    )

    assert exit_code == 1
    text = assert_said(capsys, "3 images can be read; pre-training needs 500 or more")
    assert "12 images cannot be read" in text
    assert "broken00.jpg: not an image" in text
    assert "and 2 more" in text


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("weights.pth", "ends in .safetensors"),
        ("nowhere/weights.safetensors", "there is no folder"),
        ("there.safetensors", "exists"),
    ],
)
def test_main_says_what_is_needed_when_out_is_no_place(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str, words: str
) -> None:
    (tmp_path / "there.safetensors").touch()

    assert command.main(["--images", str(images), "--out", str(tmp_path / out), *SMALL]) == 1

    assert_said(capsys, words)


def test_main_names_the_requirements_when_lightly_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert command.main(["--images", "x", "--out", str(tmp_path / "o.safetensors")]) == 1

    assert_said(capsys, "pip install -r requirements-pretrain.txt")


def test_command_imports_neither_torch_nor_lightly_when_only_help_is_asked_for() -> None:
    code = (
        "import sys; from backend.pretraining.command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'torch', 'lightly', 'timm'} & set(sys.modules))"
    )

    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert output.stdout.endswith("set()\n"), output.stderr


def assert_said(capsys: pytest.CaptureFixture[str], words: str) -> str:
    """The error output, after looking for `words` (a pattern) in it."""
    text = capsys.readouterr().err
    assert re.search(words, text), text
    return text
