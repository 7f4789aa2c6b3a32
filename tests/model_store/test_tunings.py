"""The networks of a project, done and under way."""

import pytest

from model_store.tunings import Tunings
from tests.states import KEY, tuning_state


@pytest.fixture
def tunings(open_journal) -> Tunings:
    return open_journal().tunings


def test_there_is_none_before_any_fine_tuning(tunings):
    assert (tunings.newest(KEY), tunings.newest_done(KEY), tunings.get(KEY, 0)) == (
        None,
        None,
        None,
    )


def test_newest_done_is_the_one_before_while_another_is_under_way(tunings):
    tunings.open(tuning_state(1))
    opened = tuning_state(2, "train", n_labeled=40)
    tunings.open(opened)
    assert (tunings.newest(KEY).number, tunings.newest_done(KEY).number) == (2, 1)
    updated = tunings.update(opened, phase="done", checkpoint="tuning-00002.safetensors")
    assert tunings.newest_done(KEY) == updated == tunings.get(KEY, 2)


def test_drop_forgets_one(tunings):
    tunings.open(tuning_state(1))
    opened = tuning_state(2, "train")
    tunings.open(opened)
    tunings.drop(opened)
    assert tunings.newest(KEY).number == 1
