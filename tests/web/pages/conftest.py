"""An app whose journal knows one confirmed project with a round, and no Label Studio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.process.startup import folder_of, open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from model_store import phases
from model_store.audits import Draw
from model_store.journal import Journal
from model_store.maps import PoolMap, write_map
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, write_ranking
from model_store.reasons import TaskReasons, write_reasons

# Whatever browser tests need of a running backend.
from tests.loop.conftest import (  # noqa: F401
    colored_project,
    connected_project,
    inline,
    tiny_weights,
)
from tests.states import KEY, mirrored_task, queued_task, round_state

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PROJECT_ID = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(model_dir=tmp_path, label_studio_api_key="0" * 40)


@pytest.fixture
def journal(settings: Settings) -> Journal:
    return open_journal(settings)


@pytest.fixture
def folder(settings: Settings) -> ProjectFolder:
    return ProjectFolder(folder_of(settings) / KEY)


def app_of(settings: Settings, journal: Journal) -> Flask:
    def no_network():
        raise AssertionError("the network is not needed here")

    return create_app(settings, journal, Predictor(settings, journal, no_network))


@pytest.fixture
def client(settings: Settings, journal: Journal) -> FlaskClient:
    return app_of(settings, journal).test_client()


def confirm(journal: Journal, key: str = KEY, **values) -> None:
    """A project that Label Studio confirmed."""
    journal.note_changed(key)
    known = {"title": "Pets", "connected": True, "row_id": 1, "phase": phases.ANNOTATE}
    journal.update_project(key, **(known | values))


@pytest.fixture
def project(journal: Journal, folder: ProjectFolder) -> Journal:
    """Five tasks of one round: 100 mixes, 101 was drawn, 102 was asked for, 103 is labeled."""
    confirm(journal, labeled=1, pool=4)
    tasks = [mirrored_task(number) for number in (100, 101, 102)]
    journal.tasks.put(KEY, [*tasks, mirrored_task(103, class_name="dog"), mirrored_task(104)])
    state = round_state(3, settings={"seed": "0"}, statistics={"reason": "labels"})
    journal.open_round(state)
    journal.add_to_queue(
        state,
        [
            queued_task(-1, 102),
            queued_task(0, 100, class_name="cat", probability=0.75),
            queued_task(1, 101),
            queued_task(2, 103),
            queued_task(3, 104, is_reserve=True),
        ],
    )
    journal.audits.note(KEY, 3, [Draw(101, 1, 0.25, {"cat": 0.9, "dog": 0.1})])
    ids = np.array([100, 101, 102, 103])
    write_ranking(
        folder.ranking_file(3),
        Ranking(
            ids,
            np.arange(4),
            labels=np.array([0, 0, 1, 1], dtype=np.int32),
            probabilities=np.array([0.75, 0.9, 0.6, 0.5], dtype=np.float32),
            critical_epsilons=np.array([0.25, 0.5, np.inf, 0.1], dtype=np.float32),
            is_candidate=np.array([True, False, False, True]),
            flips_to=np.array([1, 1, 1, 0], dtype=np.int32),
            is_drawn=np.array([False, True, False, False]),
        ),
    )
    write_reasons(
        folder.reasons_file(3),
        TaskReasons(
            ids,
            cluster_sizes=np.array([7, 1, 1, 2]),
            nearest_labeled=np.array([103, -1, -1, -1]),
            similarities=np.array([0.875, np.nan, np.nan, np.nan], dtype=np.float32),
            anchors=np.array([1, -1, -1, 0], dtype=np.int32),
        ),
    )
    points = np.array([[0, 0], [2, 4], [1, 2], [2, 0]], dtype=np.float32)
    write_map(folder.map_file(3), PoolMap(ids, points, 0, "pca"))
    return journal
