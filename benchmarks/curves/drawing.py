"""What one seed draws from a data set: the pool, the test images, and which classes are asked for.

Legend: N pool examples, T test examples, C classes of the data, K that are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.replay import OF_NO_CLASS, Truth
from benchmarks.curves.data import Data, DataError
from benchmarks.curves.settings import Setting

TEST_SEED = 1_000_003


@dataclass(frozen=True, eq=False)
class Drawn:
    """pool, test: (N,) and (T,) rows of the data's parts.

    rare: those of the K classes that the pool holds few of; none where it is balanced.
    """

    pool: np.ndarray
    test: np.ndarray
    truth: Truth
    rare: tuple[int, ...]


def draw(setting: Setting, data: Data, seed: int) -> Drawn:
    """The examples of one seed. DataError: a long-tailed pool needs more of a class."""
    generator = np.random.default_rng([seed, 1])
    if setting.is_plain:
        pool = drawn_rows(len(data.train.labels), setting.pool, generator)
        order = np.arange(len(data.classes))
    else:
        order = generator.permutation(len(data.classes))
        pool = _long_tailed(setting, data, order, generator)
    asked = order[: setting.num_classes(data)]
    test = test_rows(setting, data)
    test = test[np.isin(data.test.labels[test], asked)]
    number_of = np.full(len(data.classes), OF_NO_CLASS)
    number_of[asked] = np.arange(len(asked))
    truth = Truth(number_of[data.train.labels[pool]], number_of[data.test.labels[test]], len(asked))
    rare = range(len(asked) // 2, len(asked)) if setting.is_skewed else ()
    return Drawn(pool, test, truth, tuple(rare))


def test_rows(setting: Setting, data: Data) -> np.ndarray:
    """The test images, the same for all seeds, also those of no class."""
    return drawn_rows(len(data.test.labels), setting.test, np.random.default_rng(TEST_SEED))


def class_sizes(total: int, classes: int, skew: float) -> np.ndarray:
    """(C,) int64 sizes that fall from the first to the last class by `skew`, each by one factor.

    Cao et al. 2019, "Learning Imbalanced Datasets" (LDAM), Section 4: exponential imbalance.
    """
    shares = skew ** -np.linspace(0, 1, classes)
    sizes = np.floor(total * shares / shares.sum()).astype(np.int64)
    sizes[0] += total - sizes.sum()
    return sizes


def _long_tailed(
    setting: Setting, data: Data, order: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Sorted rows of the pool, of the classes in `order` as many as `class_sizes` says."""
    labels = data.train.labels
    sizes = class_sizes(setting.pool or len(labels), len(order), setting.skew)
    rows = []
    for label, size in zip(order, sizes, strict=True):
        of_class = np.flatnonzero(labels == label)
        if size > len(of_class):
            raise DataError(
                f"class {data.classes[label]} has {len(of_class)} training examples; needed are "
                f"{size} for a pool of {sizes.sum()} with a skew of {setting.skew:g}"
            )
        rows.append(generator.choice(of_class, size, replace=False))
    return np.sort(np.concatenate(rows))


def drawn_rows(count: int, wanted: int | None, generator: np.random.Generator) -> np.ndarray:
    """Sorted rows: `wanted` of `count`, or all."""
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.sort(generator.choice(count, wanted, replace=False))
