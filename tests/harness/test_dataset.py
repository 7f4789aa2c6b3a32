"""The demo's images and which of them are held out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from backend.errors import DemoError
from backend.harness.dataset import Dataset, read_dataset, write_digits


def write_images(root, counts):
    """Folders of so many empty files named like images; they are never opened here."""
    for name, count in counts.items():
        (root / name / "deeper").mkdir(parents=True)
        for number in range(count):
            (root / name / "deeper" / f"{number}.JPG").touch()


def test_dataset_holds_a_fifth_of_each_class_out_when_it_is_small(tmp_path):
    write_images(tmp_path, {"cat": 50, "dog": 10})

    images = read_dataset(tmp_path, random.Random(0))

    assert images.classes == ("cat", "dog")
    assert sorted(images.held_out.values()) == ["cat"] * 10 + ["dog"] * 2
    assert sorted(images.pool.values()) == ["cat"] * 40 + ["dog"] * 8
    assert not images.pool.keys() & images.held_out.keys()
    assert images.pool.keys() | images.held_out.keys() == {
        f"{name}/deeper/{number}.JPG"
        for name, count in (("cat", 50), ("dog", 10))
        for number in range(count)
    }


def test_dataset_holds_300_out_when_it_is_large(tmp_path):
    write_images(tmp_path, {"cat": 2000, "dog": 1000})

    images = read_dataset(tmp_path, random.Random(0))

    assert sorted(images.held_out.values()) == ["cat"] * 200 + ["dog"] * 100


def test_dataset_is_the_same_when_the_seed_is(tmp_path):
    write_images(tmp_path, {"cat": 20, "dog": 20})

    first, second = (read_dataset(tmp_path, random.Random(3)) for _ in range(2))

    assert list(first.pool.items()) == list(second.pool.items())
    assert list(first.pool.values()) != sorted(first.pool.values())


def test_dataset_is_unchanged_when_saved_and_loaded(tmp_path):
    write_images(tmp_path / "images", {"größer": 3, "kleiner": 3})
    images = read_dataset(tmp_path / "images", random.Random(0))

    images.save(tmp_path / "dataset.json")

    assert Dataset.load(tmp_path / "dataset.json") == images


def test_dataset_leaves_out_what_is_no_class_folder(tmp_path):
    write_images(tmp_path, {"cat": 3, "dog": 3, ".trash": 3, "single": 1})
    (tmp_path / "notes.png").touch()
    (tmp_path / "cat" / "labels.csv").touch()

    images = read_dataset(tmp_path, random.Random(0))

    assert images.classes == ("cat", "dog")
    assert all(path.endswith(".JPG") for path in images.pool)


@pytest.mark.parametrize("counts", [{}, {"cat": 9}, {"cat": 9, "dog": 1}])
def test_dataset_is_refused_when_there_are_not_two_classes(tmp_path, counts):
    write_images(tmp_path, counts)

    with pytest.raises(DemoError, match="needed are two such folders"):
        read_dataset(tmp_path, random.Random(0))


def test_dataset_is_refused_when_there_is_no_folder(tmp_path):
    with pytest.raises(DemoError, match="is not a folder"):
        read_dataset(tmp_path / "nowhere", random.Random(0))


def test_digits_are_scikit_learns_when_shrunk_again(tmp_path):
    root = tmp_path / "images" / "digits"

    write_digits(root)

    files = sorted(root.rglob("*.png"))
    assert len(files) == 1797
    digits = load_digits()
    for number in (0, 700, 1796):
        with Image.open(root / str(digits.target[number]) / f"{number:04d}.png") as image:
            assert image.size == (96, 96)
            small = np.asarray(image.resize((12, 12), Image.Resampling.BOX), float)
        ink = (255 - small[2:10, 2:10]) * 16 / 255
        assert small[[0, -1]].min() > 240
        # The scale is 0 to 16; Lanczos overshoots at edges.
        assert np.abs(ink - digits.images[number]).mean() < 1
        assert np.corrcoef(ink.ravel(), digits.images[number].ravel())[0, 1] > 0.98


def test_digits_are_written_anew_when_an_earlier_start_was_killed(tmp_path):
    root = tmp_path / "digits"
    (tmp_path / "digits.partial" / "3").mkdir(parents=True)
    (tmp_path / "digits.partial" / "3" / "half.png").touch()

    write_digits(root)

    assert len(list(root.rglob("*.png"))) == 1797
    assert list(tmp_path.iterdir()) == [root]
