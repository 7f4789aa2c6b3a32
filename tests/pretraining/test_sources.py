from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import ImageError, PretrainingError
from backend.pretraining import sources
from backend.pretraining.images import channel_statistics
from backend.pretraining.sources import read_path, read_project, read_sample
from backend.settings import Settings

Write = Callable[[str, np.ndarray], Path]
LABEL_CONFIG = """<View><Image name="i" value="$picture"/>
<Choices name="c" toName="i"><Choice value="a"/><Choice value="b"/></Choices></View>"""


def save_color(path: Path, color: tuple[int, int, int], size: tuple[int, int] = (4, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)
    return path


def test_read_path_finds_images_in_subfolders_when_given_a_folder(tmp_path: Path) -> None:
    save_color(tmp_path / "b" / "deep" / "red.PNG", (255, 0, 0), size=(9, 5))
    save_color(tmp_path / "a.png", (0, 0, 255))
    (tmp_path / "notes.txt").write_text("no image")

    images = read_path(tmp_path, 4)

    assert images.skipped == ()
    assert images.pixels.shape == (2, 3, 4, 4)
    assert images.pixels[:, :, 0, 0].tolist() == [[0, 0, 255], [255, 0, 0]]


def test_read_path_names_and_skips_images_when_they_cannot_be_read(tmp_path: Path) -> None:
    save_color(tmp_path / "c.png", (0, 255, 0))
    (tmp_path / "a.png").write_bytes(b"")
    cut = save_color(tmp_path / "b.png", (1, 2, 3))
    cut.write_bytes(cut.read_bytes()[:50])

    images = read_path(tmp_path, 4)

    assert images.pixels[:, :, 0, 0].tolist() == [[0, 255, 0]]
    assert [Path(skipped.name).name for skipped in images.skipped] == ["a.png", "b.png"]
    assert "empty file" in images.skipped[0].reason


def test_read_path_raises_when_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(PretrainingError, match="does not exist"):
        read_path(tmp_path / "nowhere", 4)


def test_read_path_keeps_one_channel_and_size_when_given_an_idx_file(write_idx: Write) -> None:
    assert read_path(write_idx("images.gz", np.ones((2, 5, 5))), 4).pixels.shape == (2, 1, 5, 5)


def test_read_sample_labels_by_folder_when_given_class_folders(tmp_path: Path) -> None:
    for number in range(3):
        save_color(tmp_path / "cat" / f"{number}.png", (number, 0, 0))
    save_color(tmp_path / "dog" / "0.png", (9, 0, 0))

    sample = read_sample(tmp_path, None, 10, 4)

    assert sample.labels.tolist() == [0, 0, 0, 1]
    assert sample.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 9]


def test_read_sample_spreads_over_the_classes_when_fewer_are_asked_for(tmp_path: Path) -> None:
    for number in range(6):
        save_color(tmp_path / "ab"[number // 3] / f"{number}.png", (number, 0, 0))

    sample = read_sample(tmp_path, None, 3, 4)

    assert sample.pixels[:, 0, 0, 0].tolist() == [0, 2, 5]
    assert sample.labels.tolist() == [0, 0, 1]


def test_read_sample_takes_the_first_rows_when_given_idx_files(write_idx: Write) -> None:
    images = write_idx("images", np.arange(6).reshape(6, 1, 1))
    labels = write_idx("labels", np.array([0, 1, 0, 1, 2, 2]))

    sample = read_sample(images, labels, 3, 4)

    assert sample.pixels.flatten().tolist() == [0, 1, 2]
    assert sample.labels.tolist() == [0, 1, 0]


def test_read_sample_raises_when_images_and_labels_differ_in_number(write_idx: Write) -> None:
    images = write_idx("images", np.zeros((3, 2, 2)))

    with pytest.raises(PretrainingError, match=r"3 images and .* 2 labels"):
        read_sample(images, write_idx("labels", np.array([0, 1])), 10, 4)


def test_read_sample_raises_when_there_is_one_class(tmp_path: Path) -> None:
    save_color(tmp_path / "cat" / "0.png", (0, 0, 0))

    with pytest.raises(PretrainingError, match="fewer than two classes"):
        read_sample(tmp_path, None, 10, 4)


def test_channel_statistics_are_those_of_the_values_when_gray_and_colored() -> None:
    colored = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    for pixels in (colored, colored[:, :1]):
        unit = (pixels / 255).double().expand(-1, 3, -1, -1)
        mean, std = channel_statistics(pixels)
        assert mean == pytest.approx(unit.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)
        assert std == pytest.approx(unit.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-6)


class FakeClient:
    authorization = None

    def __init__(self, url: str, token: str) -> None:
        pass

    def project(self, project_id: int) -> SimpleNamespace | None:
        return SimpleNamespace(label_config=LABEL_CONFIG) if project_id == 7 else None

    def tasks(self, project_id: int) -> list[dict]:
        data = [{"picture": "broken"}, {"picture": "fine"}, {"other": 1}]
        return [{"id": 3 - row, "data": value} for row, value in enumerate(data)]


class FakeFetcher:
    png: bytes

    def __init__(self, url: str, authorize: object, image_hosts: tuple[str, ...]) -> None:
        pass

    def fetch(self, uri: str, task_id: int) -> bytes:
        if uri == "broken":
            raise ImageError("404")
        return self.png

    def close(self) -> None:
        pass


@pytest.fixture
def fake_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FakeFetcher.png = save_color(tmp_path / "x.png", (7, 8, 9)).read_bytes()
    monkeypatch.setattr(sources, "LabelStudioClient", FakeClient)
    monkeypatch.setattr(sources, "ImageFetcher", FakeFetcher)


@pytest.mark.usefixtures("fake_project")
def test_read_project_reads_images_and_names_tasks_without_one() -> None:
    images = read_project(Settings(label_studio_api_key="t"), 7, 4)

    assert images.pixels[:, :, 0, 0].tolist() == [[7, 8, 9]]
    assert [skipped.name for skipped in images.skipped] == ["task 1", "task 3"]
    assert images.skipped[1].reason == "404"


@pytest.mark.usefixtures("fake_project")
def test_read_project_raises_when_there_is_no_such_project() -> None:
    with pytest.raises(PretrainingError, match="no project 8"):
        read_project(Settings(label_studio_api_key="t"), 8, 4)
