"""The tasks that are most like one, beside a plain sort of all cosines."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from backend.web.pages.services import EXTENSION
from backend.web.pages.similar import COMPARISONS_AT_ONCE
from model_store.embeddings import EmbeddingStore
from model_store.project_folder import ProjectFolder
from tests.states import KEY, mirrored_task, round_state
from tests.web.pages.conftest import confirm

OTHER = "13.1700000000"
VERSION = "vit-abc"
TASK_IDS = np.arange(1, 301)
ROWS = np.random.default_rng(0).standard_normal((300, 6)).astype(np.float32) + 1
LABELED, SKIPPED, NOT_EMBEDDED = range(1, 41), range(41, 61), range(61, 71)


def fill(folder: ProjectFolder, task_ids, rows) -> None:
    """In parts of 64, in the order of the tasks."""
    store = EmbeddingStore(folder.embeddings)
    for start in range(0, len(task_ids), 64):
        part = slice(start, start + 64)
        store.write_part(VERSION, [f"{task:032x}" for task in task_ids[part]], rows[part])


@pytest.fixture
def pool(journal, folder):
    """300 tasks: labeled ones, skipped ones, some without an embedding; the others are the pool."""
    confirm(journal)
    journal.tasks.put(KEY, [mirrored_task(task, class_name="cat") for task in LABELED])
    journal.tasks.put(KEY, [mirrored_task(task, is_skipped=True) for task in SKIPPED])
    journal.tasks.put(KEY, [mirrored_task(task) for task in range(61, 301)])
    journal.open_round(round_state(0, features_version=VERSION))
    embedded = ~np.isin(TASK_IDS, NOT_EMBEDDED)
    fill(folder, TASK_IDS[embedded], ROWS[embedded])
    return journal


@pytest.mark.parametrize("task_id", [200, 7, 300])
def test_most_alike_are_those_of_a_plain_sort(client, pool, task_id):
    row = ROWS[task_id - 1].astype(np.float64)
    cosines = ROWS @ row / np.sqrt((ROWS**2).sum(1) * (row**2).sum())
    in_pool = TASK_IDS[70:]
    expected = in_pool[np.argsort(-cosines[70:])][:50]
    found = client.get(f"/projects/12/alike/{task_id}").json["task_ids"]
    assert found == expected.tolist()


def test_program_is_told_to_ask_again_when_many_images_are_being_compared(client, pool):
    comparisons = client.application.extensions[EXTENSION].comparisons
    with ExitStack() as taken:
        for _ in range(COMPARISONS_AT_ONCE):
            taken.enter_context(comparisons.take())
        busy = client.get("/projects/12/alike/200")
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
    assert client.get("/projects/12/alike/200").json["task_ids"]


def test_most_alike_are_of_the_project_alone(client, pool, settings, folder):
    # The other project has the same images, and tasks of its own of them.
    confirm(pool, OTHER)
    tasks = [mirrored_task(task + 1000, image_key=f"{task:032x}") for task in range(71, 301)]
    pool.tasks.put(OTHER, tasks)
    pool.open_round(replace(round_state(0, features_version=VERSION), key=OTHER))
    fill(ProjectFolder(folder.path.with_name(OTHER)), TASK_IDS, ROWS)
    assert max(client.get("/projects/12/alike/200").json["task_ids"]) <= 300
    assert min(client.get("/projects/13/alike/1200").json["task_ids"]) >= 1071
    assert client.get("/projects/12/alike/1200").status_code == 404


def test_all_are_named_when_the_pool_is_smaller(client, pool):
    pool.tasks.put(KEY, [mirrored_task(task, class_name="cat") for task in range(80, 301)])
    assert sorted(client.get("/projects/12/alike/7").json["task_ids"]) == list(range(71, 80))


@pytest.mark.parametrize("task_id", [61, 200])
@pytest.mark.parametrize("version", [None, "vit-of-another-time", VERSION])
def test_nothing_is_named_when_embeddings_are_not_at_hand(client, pool, task_id, version):
    pool.open_round(round_state(1, features_version=version))
    found = client.get(f"/projects/12/alike/{task_id}").json["task_ids"]
    assert bool(found) == (version == VERSION and task_id == 200)


def test_nothing_is_named_when_a_part_is_damaged(client, pool, folder):
    for path in folder.embeddings.rglob("part-*"):
        path.write_bytes(path.read_bytes()[:-100])
    assert client.get("/projects/12/alike/200").json == {"task_ids": []}
