"""What a seed draws: pools with rare classes, and with images of no class that is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from backend.replay import OF_NO_CLASS
from benchmarks.curves.data import Data, DataError, Part
from benchmarks.curves.drawing import class_sizes, draw
from benchmarks.curves.settings import Setting

CLASSES, OF_EACH = 5, 100


def part(of_each: int) -> Part:
    return Part(np.tile(np.arange(CLASSES), of_each), vectors=np.zeros((CLASSES * of_each, 1)))


DATA = Data(part(OF_EACH), part(10), tuple("abcde"), {})


def setting(**changes) -> Setting:
    return Setting("any", "any", "mlp", "random", 1, **changes)


def test_class_sizes_fall_by_one_factor_to_the_share_that_is_asked_for():
    # 1, 1/2, 1/4 of 4/7 each.
    assert class_sizes(70, 3, 4.0).tolist() == [40, 20, 10]
    assert class_sizes(71, 3, 4.0).tolist() == [41, 20, 10]
    assert class_sizes(30, 3, 1.0).tolist() == [10, 10, 10]


def test_long_tailed_pool_has_few_of_the_rare_classes_and_a_test_as_balanced_as_the_data():
    found = draw(setting(skew=16, pool=155), DATA, seed=0)
    assert np.bincount(found.truth.labels).tolist() == [80, 40, 20, 10, 5]
    assert found.rare == (2, 3, 4)
    assert np.bincount(found.truth.test_labels).tolist() == [10] * CLASSES
    assert len(np.unique(found.pool)) == 155


def test_images_of_foreign_classes_lie_in_the_pool_without_a_class_and_not_in_the_test():
    found = draw(setting(foreign=2, pool=100), DATA, seed=0)
    assert found.truth.num_classes == 3
    assert np.bincount(found.truth.labels - OF_NO_CLASS).tolist() == [40, 20, 20, 20]
    assert np.bincount(found.truth.test_labels).tolist() == [10] * 3
    assert found.rare == ()


@pytest.mark.parametrize("changes", [{"skew": 16.0}, {"foreign": 2}])
def test_labels_are_those_of_the_data_under_new_numbers(changes):
    found = draw(setting(pool=100, **changes), DATA, seed=3)
    before = DATA.train.labels[found.pool], DATA.test.labels[found.test]
    after = found.truth.labels, found.truth.test_labels
    names = {(old, new) for each in zip(before, after, strict=True) for old, new in zip(*each)}  # noqa: B905
    assert len(names) == CLASSES
    assert len({new for _, new in names}) == found.truth.num_classes + bool(changes.get("foreign"))


def test_rare_and_foreign_classes_are_drawn_anew_by_each_seed():
    firsts = {
        tuple(np.unique(DATA.train.labels[drawn.pool[drawn.truth.labels == OF_NO_CLASS]]))
        for drawn in (draw(setting(foreign=2, pool=100), DATA, seed) for seed in range(9))
    }
    assert len(firsts) > 2


def test_plain_pool_is_drawn_from_all_and_keeps_the_numbers_of_the_data():
    found = draw(setting(pool=90), DATA, seed=5)
    expected = np.random.default_rng([5, 1]).choice(CLASSES * OF_EACH, 90, replace=False)
    assert found.pool.tolist() == sorted(expected)
    assert found.truth.labels.tolist() == DATA.train.labels[found.pool].tolist()


def test_class_with_too_few_examples_is_named():
    # 16/31 of 400, and what rounding leaves; the class with the most is named first.
    with pytest.raises(DataError, match="has 100 training examples; needed are 209"):
        draw(setting(skew=16, pool=400), DATA, seed=0)
