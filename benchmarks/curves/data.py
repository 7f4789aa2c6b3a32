"""Labeled data with a fixed train and test part, as images or as rows of numbers.

Legend: N examples, D numbers an example, K classes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from backend.decoding import decoded_image
from backend.errors import AlfaMixError, ImageError
from backend.pretraining.idx import read_idx_images, read_idx_labels

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff"})
TEST_SHARE = 0.3
SPLIT_SEED = 0
TORCHVISION = {
    "mnist": ("MNIST", {}),
    "emnist": ("EMNIST", {"split": "balanced"}),
    "svhn": ("SVHN", {}),
    "cifar10": ("CIFAR10", {}),
    "cifar100": ("CIFAR100", {}),
}


class DataError(AlfaMixError):
    """A data set is missing, or is not what its kind promises."""


@dataclass(frozen=True, eq=False)
class Images:
    """N images. read: the encoded bytes of one. px: the side that an MLP sees them at."""

    read: Callable[[int], bytes]
    count: int
    mode: str = "RGB"
    px: int = 32

    def picture(self, row: int) -> Image.Image:
        """One image, px x px, in `mode`."""
        with decoded_image(self.read(row)) as image:
            picture = image.convert(self.mode)
            return picture if picture.size == (self.px, self.px) else picture.resize((self.px,) * 2)


@dataclass(frozen=True, eq=False)
class Part:
    """Images or (N, D) float32 vectors, and their (N,) int64 labels."""

    labels: np.ndarray
    images: Images | None = None
    vectors: np.ndarray | None = None

    def as_vectors(self) -> np.ndarray:
        """(N, D) float32: the numbers, or the pixels in 0..1."""
        if self.images is None:
            return self.vectors
        rows = [np.asarray(self.images.picture(row)).ravel() for row in range(self.images.count)]
        return np.stack(rows).astype(np.float32) / 255


@dataclass(frozen=True, eq=False)
class Data:
    """left_out: why an example is not used, and how often."""

    train: Part
    test: Part
    classes: tuple[str, ...]
    left_out: Mapping[str, int]


def load(name: str, root: Path) -> Data:
    """A data set by name.

    Args:
        name: `digits`, `breast-cancer`, `fashion-mnist`, one of torchvision's, or the path, also
            below `root`, of a folder of class folders (or of `train` and `test` folders of such),
            or of a CSV file, `FILE.csv:LABEL_COLUMN`.

    Raises:
        DataError: there is no such data, or too little of it can be used.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    path, _, column = name.partition(".csv:")
    if column:
        return read_csv(_found(root, path + ".csv"), column)
    if name in TORCHVISION and not (root / name).exists():
        return from_torchvision(name, root)
    path = _found(root, name)
    if not path.is_dir():
        raise DataError(f"{path} is a file; needed is a folder, or FILE.csv:LABEL_COLUMN")
    return read_folder(path)


def _found(root: Path, name: str) -> Path:
    for path in (root / name, Path(name)):
        if path.exists():
            return path
    known = ", ".join((*_BUILT_IN, *TORCHVISION))
    raise DataError(
        f"found no {name!r}, also not in {root}; needed is one of {known}, a folder of class "
        "folders, or FILE.csv:LABEL_COLUMN (--data names the folder to look in)"
    )


def digits() -> Data:
    """Scikit-learn's 1,797 digits of 8 x 8 pixels, 30 % of them for testing."""
    found = load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)
    train, test = _split(found.target)
    classes = tuple(str(name) for name in found.target_names)
    return Data(_gray(pixels, found.target, train), _gray(pixels, found.target, test), classes, {})


def breast_cancer() -> Data:
    """Scikit-learn's 569 x 30 measurements of two classes, 30 % for testing."""
    found = load_breast_cancer()
    return _tabular(found.data, found.target, tuple(found.target_names), {})


def fashion_mnist() -> Data:
    """The 60,000 and 10,000 images that Debian's dataset-fashion-mnist installs."""
    if not FASHION_MNIST.is_dir():
        raise DataError(
            f"found no {FASHION_MNIST}; needed is Debian's package dataset-fashion-mnist "
            "(apt-get install dataset-fashion-mnist)"
        )
    parts = []
    for stem in ("train", "t10k"):
        pixels = read_idx_images(FASHION_MNIST / f"{stem}-images-idx3-ubyte.gz")[:, 0].numpy()
        labels = read_idx_labels(FASHION_MNIST / f"{stem}-labels-idx1-ubyte.gz")
        parts.append(_gray(pixels, labels, np.arange(len(labels))))
    return Data(parts[0], parts[1], tuple(str(number) for number in range(10)), {})


_BUILT_IN = {"digits": digits, "breast-cancer": breast_cancer, "fashion-mnist": fashion_mnist}


def from_torchvision(name: str, root: Path) -> Data:
    """One of torchvision's data sets, downloaded into `root` where it is not there yet."""
    from torchvision import datasets

    kind, options = TORCHVISION[name]
    takes_split = kind == "SVHN"
    parts = []
    for is_train in (True, False):
        which = {"split": "train" if is_train else "test"} if takes_split else {"train": is_train}
        try:
            found = getattr(datasets, kind)(root, download=True, **options, **which)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"{kind} is not in {root} and its download failed ({error}); needed is the "
                "internet, or the images as class folders"
            ) from error
        labels = np.asarray(getattr(found, "targets", getattr(found, "labels", None)), np.int64)
        first = found[0][0]
        read = partial(_encoded_item, found)
        parts.append(Part(labels, Images(read, len(labels), first.mode, first.size[0])))
    names = tuple(str(number) for number in range(int(parts[0].labels.max()) + 1))
    return Data(parts[0], parts[1], names, {})


def read_folder(folder: Path) -> Data:
    """The images of a folder of class folders, 30 % of each class for testing.

    With `train` and `test` inside, the folders of these are the classes and the split. Unreadable
    images and classes with fewer than two images are left out and counted.

    DataError: fewer than two classes are left.
    """
    is_split = (folder / "train").is_dir() and (folder / "test").is_dir()
    left_out: Counter[str] = Counter()
    train = _class_folders(folder / "train" if is_split else folder, left_out)
    test = _class_folders(folder / "test", left_out) if is_split else {}
    if is_split:
        _keep_common(train, test, left_out)
    classes = tuple(sorted(train))
    if len(classes) < 2:
        raise DataError(
            f"{folder} has {len(classes)} class folders with two or more readable images; needed "
            f"are two ({_counted(left_out) or 'no image was found'})"
        )
    if is_split:
        return Data(_files(train, classes), _files(test, classes), classes, left_out)
    rng = np.random.default_rng(SPLIT_SEED)
    held_out = {}
    for name in classes:
        paths = [train[name][row] for row in rng.permutation(len(train[name]))]
        count = max(1, round(TEST_SHARE * len(paths)))
        held_out[name], train[name] = paths[:count], paths[count:]
    return Data(_files(train, classes), _files(held_out, classes), classes, left_out)


def _keep_common(
    train: dict[str, list[Path]], test: dict[str, list[Path]], left_out: Counter[str]
) -> None:
    """Drop, and count, the classes that only one of the two parts has."""
    for part, other, lacking in ((train, test, "test"), (test, train, "train")):
        for name in sorted(part.keys() - other.keys()):
            left_out[f"image of {name}, a class that {lacking} lacks"] += len(part.pop(name))


def _class_folders(folder: Path, left_out: Counter[str]) -> dict[str, list[Path]]:
    found = {}
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        paths = sorted(p for p in child.rglob("*") if p.suffix.lower() in SUFFIXES)
        readable = [path for path in paths if _is_readable(path)]
        if len(readable) < len(paths):
            left_out["unreadable image"] += len(paths) - len(readable)
        if len(readable) < 2:
            left_out[f"image of {child.name}, a class with fewer than two"] += len(readable)
        else:
            found[child.name] = readable
    return found


def _is_readable(path: Path) -> bool:
    try:
        with decoded_image(path.read_bytes()):
            return True
    except (ImageError, OSError):
        return False


def _files(of_class: Mapping[str, Sequence[Path]], classes: Sequence[str]) -> Part:
    paths = [path for name in classes for path in of_class[name]]
    labels = np.repeat(np.arange(len(classes)), [len(of_class[name]) for name in classes])
    return Part(labels, Images(lambda row: paths[row].read_bytes(), len(paths)))


def read_csv(path: Path, label_column: str) -> Data:
    """The rows of a CSV file with a header: numbers, and one column of class names.

    Rows with a missing or non-numeric value are left out and counted; 30 % are for testing.

    DataError: no such column, or fewer than two classes with two rows are left.
    """
    try:
        # -sig: spreadsheets begin a file with a byte order mark, which is no part of the first name
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = _columns(path, reader.fieldnames or (), label_column)
            kept, left_out = _numeric_rows(reader, columns, label_column)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}") from error
    sizes = Counter(name for name, _numbers in kept)
    for name, size in sizes.items():
        if size < 2:
            left_out[f"row of {name}, a class with fewer than two"] += size
    kept = [row for row in kept if sizes[row[0]] > 1]
    classes = tuple(sorted({name for name, _numbers in kept}))
    if len(classes) < 2:
        raise DataError(
            f"{path} has {len(classes)} classes with two or more complete rows; needed are two "
            f"({_counted(left_out) or 'nothing was left out'})"
        )
    labels = np.array([classes.index(name) for name, _numbers in kept])
    return _tabular(np.array([numbers for _name, numbers in kept]), labels, classes, left_out)


def _columns(path: Path, columns: Sequence[str], label_column: str) -> list[str]:
    if label_column not in columns or len(columns) < 2:
        raise DataError(
            f"{path} has the columns {', '.join(columns) or 'none'}; needed are "
            f"{label_column!r} and one or more of numbers, separated by commas"
        )
    repeated = [name for name, count in Counter(columns).items() if count > 1]
    if repeated:
        raise DataError(f"{path} has several columns {repeated[0]!r}; needed are distinct names")
    return list(columns)


def _numeric_rows(
    reader: csv.DictReader, columns: Sequence[str], label_column: str
) -> tuple[list[tuple[str, list[float]]], Counter[str]]:
    kept, left_out = [], Counter()
    for row in reader:
        try:
            numbers = [float(row[name]) for name in columns if name != label_column]
            is_complete = bool(row[label_column]) and bool(np.isfinite(numbers).all())
        except (TypeError, ValueError):
            is_complete = False
        if is_complete:
            kept.append((row[label_column], numbers))
        else:
            left_out["row with a missing or non-numeric value"] += 1
    return kept, left_out


def _tabular(
    numbers: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], left_out: Mapping[str, int]
) -> Data:
    """Columns standardized by the training rows."""
    train, test = _split(labels)
    mean, deviation = numbers[train].mean(axis=0), numbers[train].std(axis=0)
    scaled = ((numbers - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    labels = labels.astype(np.int64)
    parts = [Part(labels[rows], vectors=scaled[rows]) for rows in (train, test)]
    return Data(parts[0], parts[1], classes, left_out)


def _split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Train and test rows: 30 % of every class, at least one, for testing."""
    rng = np.random.default_rng(SPLIT_SEED)
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        is_test[rows[: max(1, round(TEST_SHARE * len(rows)))]] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def _gray(pixels: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> Part:
    read = partial(_encoded_pixels, pixels[rows])
    return Part(labels[rows].astype(np.int64), Images(read, len(rows), "L", pixels.shape[1]))


def _encoded_pixels(pixels: np.ndarray, row: int) -> bytes:
    return _encoded(Image.fromarray(pixels[row]))


def _encoded_item(items: Sequence, row: int) -> bytes:
    return _encoded(items[row][0])


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _counted(left_out: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in left_out.items())
