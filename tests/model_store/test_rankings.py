"""Rankings and scores: what is written is read, whole or not at all."""

import numpy as np
import pytest

from backend.errors import StoreError
from model_store.rankings import Ranking, read_ranking, write_ranking
from model_store.scores import Scores, read_scores, write_scores
from tests.model_store.damage import flip_bytes


def test_ranking_is_read_as_it_was_written(tmp_path):
    ranking = Ranking(
        task_ids=np.array([7, 3, 9]),
        clusters=np.array([0, 1, 0]),
        labels=np.array([1, 0, 1], np.int32),
        probabilities=np.array([0.5, 0.75, 1.0], np.float32),
        critical_epsilons=np.array([0.1, np.inf, 0.3], np.float32),
        is_candidate=np.array([True, False, True]),
        flips_to=np.array([0, 0, 2], np.int32),
    )
    write_ranking(tmp_path / "rounds" / "a.parquet", ranking)
    found = read_ranking(tmp_path / "rounds" / "a.parquet")
    assert len(found) == 3
    for name in vars(ranking):
        np.testing.assert_array_equal(getattr(found, name), getattr(ranking, name))


def test_ranking_has_no_classes_when_nothing_was_trained(tmp_path):
    write_ranking(tmp_path / "a.parquet", Ranking(np.array([7]), np.array([0])))
    found = read_ranking(tmp_path / "a.parquet")
    assert found.task_ids.tolist() == [7]
    assert (found.labels, found.probabilities, found.is_candidate) == (None, None, None)


def test_ranking_may_be_empty(tmp_path):
    nothing = np.empty(0, dtype=np.int64)
    write_ranking(tmp_path / "a.parquet", Ranking(nothing, nothing))
    assert len(read_ranking(tmp_path / "a.parquet")) == 0


@pytest.mark.parametrize("read", [read_ranking, read_scores])
def test_read_raises_when_the_file_is_missing_or_damaged(tmp_path, read):
    with pytest.raises(StoreError, match="missing or damaged"):
        read(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but not quite")
    with pytest.raises(StoreError, match="missing or damaged"):
        read(tmp_path / "a.parquet")


RANKING = Ranking(
    np.arange(40), np.arange(40) % 3, np.ones(40, np.int32), np.full(40, 0.5, np.float32)
)
SCORES = Scores(
    np.array([f"{number:032x}" for number in range(40)]),
    np.arange(40, dtype=np.int32),
    np.full(40, 0.5, np.float32),
)


@pytest.mark.parametrize(
    ("write", "read", "written"),
    [(write_ranking, read_ranking, RANKING), (write_scores, read_scores, SCORES)],
    ids=["ranking", "scores"],
)
def test_read_raises_wherever_the_file_is_damaged(tmp_path, write, read, written):
    path = tmp_path / "a.parquet"
    write(path, written)
    whole = path.read_bytes()
    silent = []
    for position in range(len(whole)):
        flip_bytes(path, position, 1)
        try:
            found = read(path)
        except StoreError:
            pass
        else:
            columns = vars(written).items()
            is_same = all(np.array_equal(getattr(found, name), column) for name, column in columns)
            silent += [] if is_same else [position]
        path.write_bytes(whole)
    assert silent == []


def test_scores_are_the_likeliest_class_of_each_image(tmp_path):
    keys = np.array(["f" * 32, "0" * 32, "a" * 32])
    probabilities = np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]], np.float32)
    write_scores(tmp_path / "s.parquet", Scores.of(keys, probabilities))
    scores = read_scores(tmp_path / "s.parquet")
    assert scores.get("f" * 32) == (1, 0.75)
    assert scores.get("0" * 32) == (0, 1.0)
    assert scores.get("a" * 32) == (0, 0.5)
    assert scores.get("b" * 32) is None
    assert scores.get("g" * 32) is None
