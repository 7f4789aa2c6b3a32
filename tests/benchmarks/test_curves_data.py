"""Data of the learning curves: what is left out is counted, what cannot be used is refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.curves.data import DataError, load


def write_image(path, gray=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), gray).save(path)


def class_folders(root, **sizes):
    for name, size in sizes.items():
        for number in range(size):
            write_image(root / name / f"{number}.png", number)


def test_csv_leaves_out_and_counts_rows_when_values_are_missing(tmp_path):
    lines = ["x,y,kind", *(f"{n},1,a" for n in range(10)), *(f"{n},2,b" for n in range(10))]
    lines += [",1,a", "3,none,b", "3,nan,a", "7,7,alone"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    data = load("t.csv:kind", tmp_path)
    assert data.classes == ("a", "b")
    assert dict(data.left_out) == {
        "row with a missing or non-numeric value": 3,
        "row of alone, a class with fewer than two": 1,
    }
    assert (len(data.train.labels), len(data.test.labels)) == (14, 6)
    # x of the training rows is standardized; y tells the classes apart.
    np.testing.assert_allclose(data.train.vectors.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_array_equal(data.test.vectors[:, 1] > 0, data.test.labels == 1)


def test_csv_is_refused_when_the_label_column_is_missing(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n1,a\n")
    with pytest.raises(DataError, match="has the columns x, kind; needed are 'label'"):
        load("t.csv:label", tmp_path)


def test_csv_is_refused_when_one_class_is_left(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n1,a\n2,a\n3,b\n")
    with pytest.raises(DataError, match=r"1 classes .*1 x row of b"):
        load("t.csv:kind", tmp_path)


def test_folder_leaves_out_and_counts_unreadable_images_and_lonely_classes(tmp_path):
    class_folders(tmp_path / "set", cat=10, dog=10, emu=1)
    (tmp_path / "set" / "cat" / "broken.png").write_text("no image")
    data = load("set", tmp_path)
    assert data.classes == ("cat", "dog")
    assert dict(data.left_out) == {
        "unreadable image": 1,
        "image of emu, a class with fewer than two": 1,
    }
    assert np.bincount(data.train.labels).tolist() == [7, 7]
    assert np.bincount(data.test.labels).tolist() == [3, 3]


def test_folder_keeps_its_own_split_when_it_has_train_and_test(tmp_path):
    class_folders(tmp_path / "set" / "train", cat=4, dog=3)
    class_folders(tmp_path / "set" / "test", cat=2, dog=2)
    data = load("set", tmp_path)
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert data.test.as_vectors().shape == (4, 3 * 32 * 32)


def test_folder_is_refused_when_one_class_is_left(tmp_path):
    class_folders(tmp_path / "set", cat=3, dog=1)
    with pytest.raises(DataError, match=r"1 class folders .*1 x image of dog"):
        load("set", tmp_path)


def test_data_is_refused_when_nothing_has_its_name(tmp_path):
    with pytest.raises(DataError, match="found no 'nothing'"):
        load("nothing", tmp_path)


def test_parts_do_not_overlap_and_repeat_when_digits_are_loaded_twice():
    first, again = load("digits", None), load("digits", None)
    assert len(first.train.labels) + len(first.test.labels) == 1797
    np.testing.assert_array_equal(first.train.labels, again.train.labels)
    vectors = first.train.as_vectors()
    assert vectors.shape == (len(first.train.labels), 64)
    assert vectors.min() == 0 and vectors.max() == 1


def test_csv_is_read_when_a_spreadsheet_wrote_it(tmp_path):
    rows = [f'"{n}","{"ab"[n % 2]}"' for n in range(8)]
    text = "\r\n".join(['"the x","kind, or so"', *rows])
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8-sig"))
    assert load("t.csv:kind, or so", tmp_path).classes == ("a", "b")
    (tmp_path / "first.csv").write_bytes("kind,x\na,1\na,2\nb,3\nb,4\n".encode("utf-8-sig"))
    assert load("first.csv:kind", tmp_path).classes == ("a", "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has the columns none; needed are 'kind'"),
        (b"x;kind\n1;a\n", "has the columns x;kind; needed are 'kind' .* separated by commas"),
        (b"x,x,kind\n1,2,a\n", "has several columns 'x'"),
        (b"x,kind\n1,caf\xe9\n", "is no CSV file in UTF-8"),
    ],
)
def test_csv_is_refused_when_it_is_no_table_of_numbers(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load("t.csv:kind", tmp_path)


def test_data_is_refused_when_a_file_is_named_without_its_label_column(tmp_path):
    (tmp_path / "t.csv").write_text("x,kind\n1,a\n")
    with pytest.raises(DataError, match="is a file; needed is a folder"):
        load("t.csv", tmp_path)


def test_folder_counts_the_images_of_classes_that_one_part_lacks(tmp_path):
    class_folders(tmp_path / "set" / "train", cat=4, dog=3, emu=2)
    class_folders(tmp_path / "set" / "test", cat=2, dog=2, fox=3)
    data = load("set", tmp_path)
    assert data.classes == ("cat", "dog")
    assert dict(data.left_out) == {
        "image of emu, a class that test lacks": 2,
        "image of fox, a class that train lacks": 3,
    }
