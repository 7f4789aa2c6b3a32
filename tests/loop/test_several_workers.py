"""Two backends share a PostgreSQL and a folder, as on two machines, beside one Label Studio."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.harness.backend_process import Backend, backend_environment, published_number
from backend.harness.child import clean_environment, free_port
from model_store import postgresql
from model_store.database import BUSY_S
from model_store.leases import LEASE_S
from tests.loop.conftest import SETTINGS, predictions_of, project_of, wait_for
from tests.model_store.conftest import execute
from tests.postgresql import PostgresServer
from tests.process.processes import with_variable

# Of what takes minutes.
TRIES = 10
pytestmark = [pytest.mark.label_studio, pytest.mark.postgresql]


@pytest.fixture
def machine(
    label_studio: Any, tmp_path: Path, tiny_weights: Path
) -> Iterator[Callable[[str], Backend]]:
    """Makes backends that share a folder and the database with this URL; they end with the test."""
    made: list[Backend] = []

    def make(database_url: str) -> Backend:
        environ = clean_environment(os.environ) | SETTINGS
        environ |= {"ALFAMIX_BACKBONE_WEIGHTS": str(tiny_weights)}
        environ |= {"ALFAMIX_DATABASE_URL": database_url}
        environ["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        shared, port = tmp_path / "shared", free_port()
        env = backend_environment(environ, shared, label_studio.server, port)
        made.append(Backend(label_studio.api, env, tmp_path / f"{len(made)}.log"))
        return made[-1].start()

    yield make
    for one in made:
        signal_all(one, signal.SIGCONT)
        one.stop()


def signal_all(server: Backend, number: int) -> None:
    """Signal all processes of a backend, as where its machine goes or stands still."""
    for process_id in with_variable(f"PORT={server.port}"):
        os.kill(process_id, number)


def holder_of(database_url: str, key: str, *machines: Backend) -> Backend | None:
    """The backend that holds a project now."""
    holder = "SELECT holder FROM lease WHERE key = :key AND expires_at > 0"
    rows = execute(database_url, holder, key=key)
    return next((one for one in machines if rows and f"-{one.port}-" in rows[0][0]), None)


def holder_and_other(
    database_url: str, key: str, pair: tuple[Backend, Backend]
) -> tuple[Backend, Backend]:
    """The backend that holds a project, and the other one."""
    holder = wait_for("a holder", lambda: holder_of(database_url, key, *pair))
    return holder, pair[1] if holder is pair[0] else pair[0]


def wait_for_takeover(
    database_url: str, key: str, pair: tuple[Backend, Backend], other: Backend
) -> None:
    """Wait until this one holds the project."""
    wait_for(
        "the other to take over",
        lambda: holder_of(database_url, key, *pair) is other,
        timeout_s=6 * LEASE_S,
    )


def published(server: Backend, project_id: int) -> int:
    """The number of the round that the queue follows."""
    return published_number(server.status(project_id))


def label_until_a_round_begins(person: Any, server: Backend, project_id: int) -> None:
    """Label on until a round is under way that the queue does not follow yet, or is over already.

    No fixed number of labels begins one: a round that follows a network takes along what was given.
    """
    before = published(server, project_id)

    def begins() -> bool:
        if server.status(project_id)["round"] > before:
            return True
        person.label_next()
        return False

    wait_for("the round to begin", begins)


def go_on(server: Backend, key: str) -> None:
    """Let a backend go on that stood still; returns when it knows that it was overtaken."""
    said = f"project {key} is not this worker's any more"
    before = server.log.count(said)
    signal_all(server, signal.SIGCONT)
    wait_for("it to notice", lambda: server.log.count(said) > before)


def health(server: Backend) -> tuple[int, str]:
    """Status and text of `/health`; 0 while nobody answers."""
    try:
        reply = server.client.get("/health", timeout=10)
    except httpx.TransportError:
        return 0, ""
    return reply.status_code, reply.text


def doubled(label_studio: Any, project_id: int) -> list[list[dict[str, Any]]]:
    """Predictions of one version and one task, where there are two."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for one in predictions_of(label_studio, project_id):
        found[one["task"], one["model_version"]].append(one)
    return [same for same in found.values() if len(same) > 1]


def label_batch(person: Any, server: Backend, project_id: int) -> list[int]:
    """Label what the queue's batch still lacks, in the order in which it is served."""
    return [person.label_next() for _ in server.status(project_id)["batch"]]


def label_all(server: Backend, person: Any, project_id: int, task_ids: list[int]) -> None:
    """Label until nothing is left; each task is served to one person once."""
    served: list[int] = []

    def is_empty() -> bool:
        while (task_id := person.label_next()) is not None:
            served.append(task_id)
        return server.status(project_id).get("phase") == "pool-empty"

    wait_for("the pool to be empty", is_empty, 300.0)
    assert len(served) == len(set(served))
    wait_for(
        "all labels to be known",
        lambda: server.status(project_id)["labeled"] == len(task_ids),
    )


def test_two_workers_work_on_two_projects_and_one_goes_on_with_both(
    label_studio, machine, database_url, colored_project, annotator
):
    one, two = machine(database_url), machine(database_url)
    projects = {one: colored_project(20)[0], two: colored_project(20)[0]}
    firsts = {}
    for server, project_id in projects.items():
        server.connect(project_id)
    for server, project_id in projects.items():
        firsts[server] = server.status_when(
            project_id, "a first batch", lambda status: bool(status.get("batch"))
        )
    keys = [first["key"] for first in firsts.values()]
    wait_for(
        "each to have one",
        lambda: {holder_of(database_url, key, one, two) for key in keys} == {one, two},
    )
    for server, project_id in projects.items():
        assert label_batch(annotator(project_id), server, project_id) == firsts[server]["batch"]
        # Either answers for both.
        for other in (one, two):
            other.wait_for_round(project_id, 1)
    one.stop()
    wait_for(
        "the other to have both",
        lambda: {holder_of(database_url, key, one, two) for key in keys} == {two},
    )
    for project_id in projects.values():
        label_batch(annotator(project_id), two, project_id)
        two.wait_for_round(project_id, 2)
        assert doubled(label_studio, project_id) == []
    assert health(two) == (200, health(two)[1])


@pytest.mark.soak
def test_worker_that_stood_still_writes_nothing_when_it_goes_on(
    label_studio, machine, database_url, colored_project, annotator
):
    pair = machine(database_url), machine(database_url)
    project_id, task_ids = colored_project(12 * (TRIES + 1))
    pair[0].connect(project_id)
    key, person = pair[0].wait_for_round(project_id, 0)["key"], annotator(project_id)
    moments = random.Random(TRIES)
    for _ in range(TRIES):
        holder, other = holder_and_other(database_url, key, pair)
        label_until_a_round_begins(person, other, project_id)
        time.sleep(moments.uniform(0.0, 0.5))
        signal_all(holder, signal.SIGSTOP)
        wait_for_takeover(database_url, key, pair, other)
        number = published(other, project_id) + 1
        label_until_a_round_begins(person, other, project_id)
        other.wait_for_round(project_id, number)
        go_on(holder, key)
        shown = project_of(label_studio, project_id)["model_version"]
        assert shown == other.status(project_id)["model_version"]
        assert published(other, project_id) >= number
        assert doubled(label_studio, project_id) == []
    label_all(other, person, project_id, task_ids)
    assert doubled(label_studio, project_id) == []


@pytest.mark.soak
def test_worker_that_vanished_is_taken_over(
    label_studio, machine, database_url, colored_project, annotator
):
    pair = machine(database_url), machine(database_url)
    project_id, task_ids = colored_project(12 * (TRIES + 1))
    pair[0].connect(project_id)
    key, person = pair[0].wait_for_round(project_id, 0)["key"], annotator(project_id)
    moments = random.Random(TRIES)
    for _ in range(TRIES):
        holder, other = holder_and_other(database_url, key, pair)
        number = published(other, project_id) + 1
        label_until_a_round_begins(person, other, project_id)
        time.sleep(moments.uniform(0.0, 0.5))
        signal_all(holder, signal.SIGKILL)
        wait_for_takeover(database_url, key, pair, other)
        other.wait_for_round(project_id, number)
        assert doubled(label_studio, project_id) == []
        holder.stop()
        holder.start()
    label_all(other, person, project_id, task_ids)
    assert doubled(label_studio, project_id) == []


@pytest.mark.soak
def test_rounds_go_on_when_postgresql_is_restarted_under_them(
    label_studio, machine, colored_project, annotator
):
    server = PostgresServer()
    try:
        backend = machine(server.url())
        project_id, task_ids = colored_project(12 * (TRIES + 1))
        backend.connect(project_id)
        backend.wait_for_round(project_id, 0)
        processes, person = with_variable(f"PORT={backend.port}").keys(), annotator(project_id)
        moments = random.Random(TRIES)
        for number in range(1, TRIES + 1):
            label_batch(person, backend, project_id)
            time.sleep(moments.uniform(0.0, 1.0))
            server.stop()
            said = wait_for(
                "/health to say so", lambda: health(backend)[0] == 503 and health(backend)
            )
            assert "the journal cannot be reached: PostgreSQL does not answer" in said[1]
            server.start()
            wait_for("/health to be well", lambda: health(backend)[0] == 200)
            backend.wait_for_round(project_id, number)
            assert doubled(label_studio, project_id) == []
        assert with_variable(f"PORT={backend.port}").keys() == processes
        label_all(backend, person, project_id, task_ids)
        assert doubled(label_studio, project_id) == []
        backend.stop()
    finally:
        server.close()


@pytest.mark.soak
def test_rounds_go_on_when_postgresql_stood_still_under_them(
    label_studio, machine, colored_project, annotator
):
    server = PostgresServer()
    try:
        backend = machine(server.url())
        project_id, task_ids = colored_project(24)
        backend.connect(project_id)
        backend.wait_for_round(project_id, 0)
        processes, person = with_variable(f"PORT={backend.port}").keys(), annotator(project_id)
        label_batch(person, backend, project_id)
        server.freeze()
        status, said = wait_for("/health to answer", lambda: health(backend)[0] and health(backend))
        assert status == 503
        assert "the journal cannot be reached: PostgreSQL does not answer" in said
        # Longer than the worker waits for a lock.
        time.sleep(BUSY_S + 2 * postgresql.ANSWER_S)
        server.thaw()
        wait_for("/health to be well", lambda: health(backend)[0] == 200)
        backend.wait_for_round(project_id, 1)
        assert with_variable(f"PORT={backend.port}").keys() == processes
        label_all(backend, person, project_id, task_ids)
        assert doubled(label_studio, project_id) == []
    finally:
        server.thaw()
        server.close()
