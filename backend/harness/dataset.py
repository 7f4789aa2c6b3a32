"""The demo's images: scikit-learn's digits, enlarged, or any folder of class folders.

Part of them is held out: never imported, only for measuring accuracy.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import DemoError
from model_store.files import read_json, write_json

# What browsers show and Pillow reads.
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
HELD_OUT = 300
# A small dataset keeps most of its images for labeling.
HELD_OUT_SHARE = 0.2
DIGIT_PX = 96
# The digits fill their 8 x 8 pixels; as in MNIST, paper around them makes them easier to read.
MARGIN_PX = 2


@dataclass(frozen=True)
class Dataset:
    """Images below `root` with their classes, keyed by path relative to `root`."""

    root: Path
    classes: tuple[str, ...]
    pool: Mapping[str, str]
    held_out: Mapping[str, str]

    def save(self, file: Path) -> None:
        """Write it down, so that a later start has the same split."""
        write_json(file, asdict(self) | {"root": str(self.root)})

    @classmethod
    def load(cls, file: Path) -> Dataset:
        """What `save` wrote."""
        fields = read_json(file)
        return cls(
            root=Path(fields["root"]),
            classes=tuple(fields["classes"]),
            pool=fields["pool"],
            held_out=fields["held_out"],
        )


def read_dataset(root: Path, rng: random.Random) -> Dataset:
    """The images of `root`'s class folders: the pool in random order, every class in both parts.

    DemoError: no such folder, or fewer than two class folders with two images each.
    """
    if not root.is_dir():
        raise DemoError(f"{root} is not a folder; needed is a folder of class folders with images")
    root = root.absolute()
    images = {folder.name: _images(root, folder) for folder in sorted(root.iterdir())}
    images = {name: paths for name, paths in images.items() if len(paths) > 1}
    if len(images) < 2:
        raise DemoError(
            f"{root} has {len(images)} folders with two or more images ({', '.join(SUFFIXES)}); "
            "needed are two such folders, one per class"
        )
    share = min(HELD_OUT_SHARE, HELD_OUT / sum(map(len, images.values())))
    pool: list[tuple[str, str]] = []
    held_out: dict[str, str] = {}
    for name, paths in images.items():
        rng.shuffle(paths)
        count = max(1, round(share * len(paths)))
        held_out |= dict.fromkeys(paths[:count], name)
        pool += [(path, name) for path in paths[count:]]
    rng.shuffle(pool)
    return Dataset(root, tuple(images), dict(pool), held_out)


def write_digits(root: Path) -> None:
    """Write the 1,797 digits of scikit-learn as PNG files into `root`'s ten class folders."""
    if root.is_dir():
        return
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for number, (image, digit) in enumerate(_digits()):
        folder = partial / str(digit)
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:04d}.png")
    partial.rename(root)


def _images(root: Path, folder: Path) -> list[str]:
    """The images below a class folder, relative to `root`; none for a file or a hidden folder."""
    if folder.name.startswith(".") or not folder.is_dir():
        return []
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return [file.relative_to(root).as_posix() for file in files if file.is_file()]


def _digits() -> Iterator[tuple[Image.Image, int]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for pixels, digit in zip(digits.images, digits.target, strict=True):
        # 0 (paper) to 16 (ink) becomes black on white.
        shades = 255 - np.pad(pixels, MARGIN_PX) * (255 / 16)
        image = Image.fromarray(shades.round().astype("uint8"))
        yield image.resize((DIGIT_PX, DIGIT_PX), Image.Resampling.LANCZOS), int(digit)
