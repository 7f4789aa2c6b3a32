"""The comparison with others' implementations: what is measured, and what they are given."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.acquisition import LinearHead, Pool
from backend.errors import SettingsError
from benchmarks import references
from benchmarks.reference_code import objectives
from benchmarks.reference_code.dal_toolbox import (
    bait_of_means_picks,
    dal_toolbox_picks,
    typiclust_picks,
    uncertainty_herding_picks,
)
from benchmarks.reference_code.scikit_activeml import scikit_activeml_picks
from benchmarks.reference_code.uherding import uherding_picks
from benchmarks.references import Found, Reference, compared, row, share_in_common


def pool_of(rows, labeled) -> Pool:
    """Two classes between which the head cannot tell."""
    rows, labeled = np.array(rows, dtype=np.float32), np.array(labeled, dtype=np.float32)
    head = LinearHead(np.zeros((2, rows.shape[1]), np.float32), np.zeros(2, np.float32))
    return Pool(rows, labeled, np.arange(len(labeled)) % 2, 2, head, np.arange(len(rows)))


@pytest.fixture
def corners() -> Pool:
    return pool_of([[3, 0], [0, 1]], [[2, 0], [-1, 0]])


@pytest.mark.parametrize(
    ("measure", "pick", "expected"),
    [
        # Unit rows (1, 0), (0, 1); labeled (1, 0), (-1, 0): the other is sqrt(2) away.
        (objectives.kernel_coverage, 0, (1 + np.exp(-2)) / 2),
        (objectives.kernel_coverage, 1, 1),
        # Labeled rows are 2 apart, and every margin is 0.
        (objectives.doubt_coverage, 0, (1 + np.exp(-0.5)) / 2),
        (partial(objectives.ball_coverage, 1.4), 0, 0.5),
        (partial(objectives.ball_coverage, 1.5), 0, 1),
        # As they are: (3, 0) is 1 from (2, 0), (0, 1) is sqrt(2) from (-1, 0).
        (objectives.farthest, 0, np.sqrt(2)),
        (objectives.farthest, 1, 1),
    ],
)
def test_objective_is_the_formula_worked_out_by_hand(measure, pick, expected, corners):
    assert measure(corners, np.array([pick])) == pytest.approx(expected)


@pytest.mark.parametrize(("pick", "expected"), [(0, 1 / 3), (1, 4 / 9)])
def test_unexplained_information_is_the_trace_worked_out_by_hand(pick, expected):
    # p (1 - p) = 1/4: the rows of information are 1, 0 and, labeled, 1; of all 2/3.
    # Known is (1 + 1) / 2 with the first row, 1/2 with the second; the ridge adds 1.
    pool = pool_of([[2], [0]], [[2]])
    assert objectives.unexplained_information(pool, np.array([pick])) == pytest.approx(expected)


def test_gradient_spread_is_the_mean_worked_out_by_hand():
    # Gradients (1, -1) and (0, 0): the second is sqrt(2) from the first.
    pool = pool_of([[2], [0]], [[2]])
    assert objectives.gradient_spread(pool, np.array([0])) == pytest.approx(1)


def test_share_in_common_does_not_look_at_the_order():
    assert share_in_common(np.array([3, 1, 2, 9]), np.array([1, 2, 3, 4])) == 0.75


def test_row_gives_means_and_the_ratio_of_ours_to_theirs():
    reference = Reference("badge", "scikit-activeml", None, objectives.farthest, is_random=True)
    draws = [
        Found(0.5, (0.2, 0.4), (1.0, 2.0), (0.8, 0.7), (1.0, 9.0)),
        Found(1.0, (0.4, 0.4), (2.0, 2.0), (0.9, 0.7), (2.0, 9.0)),
    ]
    assert row(reference, draws) == (
        "| badge | scikit-activeml | 75 | 30 and 40 | 0.750 | 85.0 and 70.0 | 1.50 and 9.00 |"
    )


def test_row_leaves_empty_what_is_not_measured():
    reference = Reference("bait", "dal-toolbox", None, detail="of means")
    text = row(reference, [Found(1.0, None, None, (0.5, 0.5), (1.0, 1.0))])
    assert text.startswith("| bait | dal-toolbox, of means | 100 |  |  | 50.0 and 50.0 |")


def test_compared_finds_no_difference_when_theirs_picks_as_ours():
    pool = pool_of(np.random.default_rng(0).normal(size=(30, 3)), np.eye(3))
    choice = SimpleNamespace(pool=pool, budget=4, accuracy_with=lambda batch: batch.sum() / 1000)

    def ours_again(pool: Pool, budget: int, seed: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return references.select("maxherding", pool, budget, generator, supply=0).rows[::-1]

    found = compared(
        Reference("maxherding", "scikit-activeml", ours_again, objectives.kernel_coverage), choice
    )
    assert found.in_common == 1
    assert found.again is None
    assert found.measures[0] == found.measures[1]
    assert found.accuracies[0] == found.accuracies[1]


def test_command_says_what_is_needed_when_no_other_implementation_is_there(monkeypatch):
    monkeypatch.setattr(references, "PACKAGES", dict.fromkeys(references.PACKAGES, "not_there"))
    with pytest.raises(SettingsError, match="--reference-packages"):
        references.main([])


def test_command_says_what_is_needed_when_no_setting_is_meant(monkeypatch):
    monkeypatch.setattr(references, "PACKAGES", dict.fromkeys(references.PACKAGES, "json"))
    with pytest.raises(SettingsError, match="--setting is 'moons'; needed is part of digits"):
        references.main(["--setting", "moons"])


def test_scikit_activeml_gets_unit_rows_and_no_label_of_the_pool(monkeypatch, corners):
    given = {}

    class ProbCover:
        def __init__(self, random_state: int, deltas: list[float]) -> None:
            given.update(random_state=random_state, deltas=deltas)

        def query(self, embeddings, labels, batch_size):
            given.update(embeddings=embeddings, labels=labels)
            return np.arange(batch_size)

    monkeypatch.setitem(sys.modules, "skactiveml.pool", SimpleNamespace(ProbCover=ProbCover))
    picks = scikit_activeml_picks("ProbCover", {"deltas": [0.5]}, corners, 1, 7)
    np.testing.assert_array_equal(picks, [0])
    np.testing.assert_array_equal(given["labels"], [np.nan, np.nan, 0, 1])
    np.testing.assert_allclose(given["embeddings"], [[1, 0], [0, 1], [1, 0], [-1, 0]])
    assert (given["random_state"], given["deltas"]) == (7, [0.5])


def test_uherding_gets_the_head_as_a_network_on_rows(monkeypatch, corners):
    class UHerding:
        def __init__(self, cfg, labeled, unlabeled, budget, delta, network, **others) -> None:
            assert cfg["DATASET"]["NAME"] and cfg.ACTIVE_LEARNING.ADAPTIVE_DELTA
            assert not others["permute"]
            self.arguments = labeled, unlabeled, budget, network, others

        def select_samples(self):
            labeled, unlabeled, budget, network, others = self.arguments
            loader = others["dataObj"].getSequentialDataLoader(
                indexes=[*labeled, *unlabeled], batch_size=2, data=others["dataset"]
            )
            (images, labels), *more = loader
            assert not more
            found = network(images.cuda(0), labels.cuda(0))
            np.testing.assert_allclose(found["features"], [[2, 0], [-1, 0], [3, 0], [0, 1]])
            assert found["preds"].shape == (4, 2)
            assert self.construct_kernel_fn("rbf") == "kernel on cpu"
            return unlabeled[-budget:], unlabeled[:-budget]

    module = SimpleNamespace(UHerding=UHerding, RBFKernel=lambda device: f"kernel on {device}")
    monkeypatch.setitem(sys.modules, "pycls.al.uherding", module)
    np.testing.assert_array_equal(uherding_picks("UHerding", corners, 1, 0), [1])


class Toolbox:
    """A module of strategies that keep what they were given."""

    def __init__(self) -> None:
        self.given: dict = {}
        self.history: dict = {}

    def __getattr__(self, name: str):
        def made(**options):
            self.given["options"] = options
            return self

        return made

    def query(self, model, al_datamodule, acq_size):
        part, numbers = al_datamodule.unlabeled_dataloader(subset_size=None)
        labeled, _ = al_datamodule.labeled_dataloader()
        self.given |= model.get_model_outputs(part, ["features", "logits"], device="cpu")
        self.given["labels"] = model.get_model_outputs(labeled, ["labels"], device="cpu")["labels"]
        return numbers[:acq_size]


@pytest.fixture
def toolbox(monkeypatch) -> Toolbox:
    made = Toolbox()
    monkeypatch.setitem(sys.modules, "dal_toolbox.active_learning.strategies", made)
    return made


def test_dal_toolbox_gets_rows_logits_and_labels(toolbox, corners):
    picks = dal_toolbox_picks("Badge", {"subset_size": None}, corners, 2, 0)
    np.testing.assert_array_equal(picks, [0, 1])
    np.testing.assert_array_equal(toolbox.given["features"], corners.embeddings)
    np.testing.assert_array_equal(toolbox.given["logits"], np.zeros((2, 2)))
    np.testing.assert_array_equal(toolbox.given["labels"], [0, 1])
    assert toolbox.given["options"] == {"subset_size": None}


def test_bait_of_means_takes_all_rows_at_once(toolbox, corners):
    bait_of_means_picks(corners, 1, 0)
    assert toolbox.given["options"]["fisher_batch_size"] == 4


def test_typiclust_gets_unit_rows(toolbox, corners):
    typiclust_picks(corners, 1, 0)
    np.testing.assert_allclose(toolbox.given["features"], torch.eye(2))


def test_uncertainty_herding_is_not_tempered(toolbox, corners):
    uncertainty_herding_picks(corners, 1, 0)
    assert toolbox.history["temperature"] == [1.0]
    assert toolbox.cycle == 1
