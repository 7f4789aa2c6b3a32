"""The command with a clock: its rows, its tables, and the backend's own network in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from backend.errors import SettingsError
from backend.replay import Truth, memory_stores
from backend.vision import BackboneSpec, LabeledImages, TrainingConfig, VisionConfig, VisionSession
from benchmarks import timed_replay
from benchmarks.curves.data import DataError
from benchmarks.timed.clock import LABELS, SECONDS, Measured, Point, Policy, Times, Tuning
from benchmarks.timed.desk import Embedded
from benchmarks.timed.learner import SessionNetworks
from benchmarks.timed.rows import Row, append_rows, read_rows
from benchmarks.timed.settings import ALL, QUICK, Setting
from benchmarks.timed.tables import pooled, pooled_table, results_of, table
from tests.vision.tiny import CountingLoader, image_keys, new_tiny_vit, save_with_card

KEYS = image_keys(40)
POOL, TEST = KEYS[:24], KEYS[24:]
LABELS_OF_POOL = np.arange(24) % 2  # dark and bright, see CountingLoader
SETTING = Setting(
    "small",
    "none",
    "head",
    budget=2,
    times=Times(1, 1.0, 0.0),
    measured=Measured((2, 4), (1.5,)),
    policies={"a": Policy(1.0), "b": Policy(waits=True)},
    references=("a",),
    seeds=2,
)


def row(policy: str, seed: int, at: float, accuracy: float, axis: str = LABELS) -> Row:
    return Row.of("small", policy, seed, Point(axis, at, 4, 3600.0, accuracy, 1, 2, 3))


ROWS = [
    *(row("a", seed, at, 0.5) for seed in (0, 1) for at in (2, 4)),
    *(row("b", seed, at, 0.6 + 0.02 * seed) for seed in (0, 1) for at in (4, 2)),
    *(row(policy, seed, 1.5, 0.25, SECONDS) for policy in "ab" for seed in (0, 1)),
]


@pytest.fixture
def session(tmp_path: Path) -> VisionSession:
    weights = save_with_card(new_tiny_vit(), tmp_path / "tiny.safetensors")
    spec = BackboneSpec("not_used", weights, feature_blocks=3)
    config = VisionConfig(spec, "blocks:1", "cpu", TrainingConfig(epoch_limit=5, block_lr=1e-3))
    return VisionSession.open(config)


@pytest.fixture
def networks(session: VisionSession) -> SessionNetworks:
    return SessionNetworks(session, POOL, TEST, 2, CountingLoader(), memory_stores())


# The backend's own network


def test_tune_gives_what_the_session_trains_and_embeds(
    networks: SessionNetworks, session: VisionSession
) -> None:
    rows, stores = np.array([3, 0, 7, 12]), memory_stores()

    found = networks.tune(rows, LABELS_OF_POOL[rows], seed=5)

    labeled = LabeledImages([POOL[place] for place in rows], LABELS_OF_POOL[rows])
    trained = session.train(labeled, 2, 5, CountingLoader(), stores, lambda *_: None)
    live = session.embed_now(trained.network, KEYS, CountingLoader()).embeddings
    np.testing.assert_allclose(found.embeddings, live[:24], atol=2e-3)
    np.testing.assert_allclose(found.test_embeddings, live[24:], atol=2e-3)
    assert found.head is not None
    np.testing.assert_array_equal(found.head.weight, trained.head.weight)
    assert np.abs(found.embeddings - networks.pretrained().embeddings).max() > 1e-3


def test_tune_trains_once_when_rows_and_seed_are_equal(networks: SessionNetworks) -> None:
    rows = np.array([3, 0, 7, 12])

    found = networks.tune(rows, LABELS_OF_POOL[rows], seed=5)

    assert networks.tune(rows.copy(), LABELS_OF_POOL[rows], seed=5) is found
    assert networks.tune(rows, LABELS_OF_POOL[rows], seed=6) is not found


def test_fit_head_is_the_sessions_on_the_embeddings_that_are_given(
    networks: SessionNetworks, session: VisionSession
) -> None:
    rows, tuned = np.array([3, 0, 7, 12]), networks.pretrained().embeddings * 2

    head = networks.fit_head(Embedded(tuned, tuned), rows, LABELS_OF_POOL[rows], 5)

    live = session.fit_head(session.pretrained(), tuned[rows], LABELS_OF_POOL[rows], 2, 5).head
    np.testing.assert_array_equal(head.weight, live.weight)
    np.testing.assert_array_equal(head.bias, live.bias)


# Rows


def test_rows_are_read_as_they_were_appended(tmp_path: Path) -> None:
    file = tmp_path / "new" / "rows.csv"

    append_rows(file, ROWS[:3])
    append_rows(file, ROWS[3:])

    assert read_rows(file) == ROWS
    assert read_rows(tmp_path / "none.csv") == []


@pytest.mark.parametrize("text", ["a,b\n", ",".join(Row.__annotations__) + "\nsmall,a,zero\n"])
def test_reading_fails_when_the_file_holds_no_rows(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)

    with pytest.raises(DataError, match=r"rows\.csv"):
        read_rows(file)


# Tables


def test_gain_is_the_paired_difference_of_the_means_in_points() -> None:
    found = results_of(SETTING, ROWS)

    assert found is not None
    gain = found.gain("b", "a", LABELS)
    # 10 and 12 points: mean 11, standard error 1, Student's t of one degree of freedom 12.706
    assert gain.mean == pytest.approx(11)
    assert gain.high - gain.mean == pytest.approx(12.706, abs=1e-3)
    assert found.gain("b", "a", SECONDS).mean == pytest.approx(0)


def test_table_has_a_line_a_policy_and_the_share_of_stale_labels() -> None:
    found = results_of(SETTING, ROWS)

    assert found is not None
    lines = list(table(found))

    assert "| a | 50.0 | 50.0 | 50.00 | – | 25 % | 1.000 | 3.0 |" in lines
    assert any(
        line.startswith("| b | 61.0 | 61.0 | 61.00 | +11.00 [-1.71, +23.71]") for line in lines
    )
    assert sum(line.startswith("| a |") for line in lines) == 2  # over labels and over seconds


def test_pooled_gain_counts_a_seed_once_when_settings_share_its_images() -> None:
    found = results_of(SETTING, ROWS)

    assert found is not None
    both = pooled([found, found], lambda one: one.gains("b", "a", LABELS))
    assert both == found.gain("b", "a", LABELS)


def test_timely_gain_holds_against_what_the_other_had_by_then() -> None:
    slow = [(2, 10.0, 0.4), (4, 30.0, 0.8)]
    fast = [(2, 10.0, 0.4), (4, 20.0, 0.7)]
    points = {"a": slow, "b": fast}
    rows = [
        Row.of("small", name, seed, Point(LABELS, at, at, seconds, accuracy, 0, 1, 0))
        for name in points
        for at, seconds, accuracy in points[name]
        for seed in (0, 1)
    ]

    found = results_of(SETTING, rows)

    assert found is not None
    # at 20 s the slow one is half way to 0.8: 0.6; the mean of 0 and 10 points
    np.testing.assert_allclose(found.timely_gains("b", "a"), [5, 5])


def test_pooled_table_is_empty_when_no_setting_has_lookaheads() -> None:
    found = results_of(SETTING, ROWS)

    assert found is not None
    assert list(pooled_table([found])) == []


def test_there_are_no_results_when_fewer_than_two_seeds_are_whole() -> None:
    assert results_of(SETTING, [one for one in ROWS if (one.policy, one.seed) != ("b", 1)]) is None


# The command


class Halves:
    """Two well separated classes whose head is known."""

    def pretrained(self) -> Embedded:
        embeddings = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
        return Embedded(embeddings, embeddings)

    def fit_head(self, *_: object):
        return SimpleNamespace(
            logits=lambda embeddings: embeddings[:, :2],
            weight=np.eye(2, 3, dtype=np.float32),
            bias=np.zeros(2, np.float32),
        )


def test_command_computes_what_the_file_lacks_and_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, file = Truth(LABELS_OF_POOL, LABELS_OF_POOL, 2), tmp_path / "rows.csv"
    asked: list[int] = []

    def staged(setting: Setting, seed: int, place: object) -> tuple[Halves, Truth]:
        asked.append(seed)
        return Halves(), truth

    monkeypatch.setattr(timed_replay, "stage", staged)
    monkeypatch.setattr(timed_replay, "ALL", (SETTING,))
    json_file = tmp_path / "rows.json"
    argv = ["--rows", str(file), "--json", str(json_file)]

    assert timed_replay.main([*argv, "--seeds", "1"]) == 0
    assert timed_replay.main(argv) == 0

    assert asked == [0, 0, 1, 1]  # two policies a seed
    assert len(read_rows(file)) == 2 * 2 * 3
    assert json_file.read_text().count('"setting"') == 12
    assert "### small (2 seeds)" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--setting", "no such"], ["--seeds", "0"]])
def test_command_refuses_what_names_nothing(argv: list[str]) -> None:
    with pytest.raises(SettingsError):
        timed_replay.main([*argv, "--no-runs"])


def test_settings_have_distinct_names_and_references_among_their_policies() -> None:
    settings = [*ALL, *QUICK]

    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings:
        assert set(setting.references) <= set(setting.policies)
        is_tuned = any(policy.tuning is not Tuning.NEVER for policy in setting.policies.values())
        assert (setting.finetune == "head") is not is_tuned
        assert setting.measured.at_labels[-1] >= setting.budget
