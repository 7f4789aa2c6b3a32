from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.vision.trainable import Architecture, build_vit
from benchmarks.pretraining import linear_accuracy, main, read_shipped, trained, untrained
from tests.vision.tiny import TINY_ARGUMENTS, TINY_MODEL, TINY_PX, new_tiny_vit, save_with_card


def write_idx(path: Path, values: np.ndarray) -> None:
    header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Images of two classes, one dark and one bright: easy for pixels."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 120), ("t10k", 30)):
        labels = np.arange(count) % 2
        noise = rng.integers(0, 40, (count, TINY_PX, TINY_PX))
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", noise + 200 * labels[:, None, None])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save_with_card(new_tiny_vit(), tmp_path / "weights.safetensors")


def test_main_writes_three_rows_for_each_of_four_representations(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "rows.json"

    assert main(["--data", str(data), "--weights", str(weights), "--json", str(out)]) == 0

    values = {row["what"]: row["value"] for row in json.loads(out.read_text())}
    assert len(values) == 12
    assert values["linear accuracy, 100 labels, raw pixels"] == 100.0
    assert values["standard deviation of it over 10 draws, raw pixels"] == 0.0


def test_main_names_the_file_when_it_is_missing(
    tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path / "nowhere"), "--weights", str(weights)]) == 1

    assert "train-images-idx3-ubyte.gz cannot be read" in capsys.readouterr().err


def test_trained_has_the_files_weights_and_untrained_others(weights: Path) -> None:
    pixels = torch.rand(2, 3, TINY_PX, TINY_PX)
    expected, shipped = new_tiny_vit(), read_shipped(weights)

    assert torch.allclose(trained(shipped)(pixels), expected(pixels), atol=1e-5)
    random = build_vit(Architecture(TINY_MODEL, {**TINY_ARGUMENTS, "img_size": TINY_PX})).eval()
    assert untrained(shipped)(pixels).shape == random(pixels).shape
    assert not torch.allclose(untrained(shipped)(pixels), expected(pixels), atol=1e-1)


def test_main_asks_for_a_card_when_the_file_has_none(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.pth"
    torch.save(new_tiny_vit().state_dict(), plain)

    assert main(["--data", str(data), "--weights", str(plain)]) == 1

    assert "carries no card" in capsys.readouterr().err


def test_linear_accuracy_is_one_when_a_line_separates_the_classes() -> None:
    rows = np.array([[0.0, 5.0], [0.1, -5.0], [1.0, 5.0], [0.9, -5.0]])

    assert linear_accuracy(rows, np.array([0, 0, 1, 1]), rows, np.array([0, 0, 1, 1])) == 1.0
