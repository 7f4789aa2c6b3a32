"""Files that a round or a network needs are damaged, and requests are stored too late."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from backend.errors import LabelStudioUnreachableError
from backend.harness.proxy import Proxy
from backend.label_studio.client import LabelStudioClient
from backend.loop import steps, supply, sync
from backend.loop.background import Background
from backend.loop.context import ProjectContext
from model_store import phases
from model_store.project_folder import ProjectFolder, host_folder
from tests.loop.conftest import CLASSES, colored_tasks, predictions_of, project_of, wait_for

pytestmark = pytest.mark.label_studio


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs, not even handlers of Exception."""


def kill_in(monkeypatch, inline, project_id, phase):
    """Work on a project until its round is about to do a step, and let that be the end."""

    def kill(*_arguments):
        raise Killed

    with monkeypatch.context() as killing, pytest.raises(Killed):
        killing.setitem(steps.STEPS, phase, kill)
        inline.reconcile(project_id)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def folder_of(inline, project_id) -> ProjectFolder:
    settings = inline.settings
    host = host_folder(settings.model_dir, settings.label_studio_url)
    return ProjectFolder(host / inline.key(project_id))


def context_of(inline, project_id) -> ProjectContext:
    return ProjectContext.of(inline.worker, inline.journal.project(inline.key(project_id)))


def doubled(label_studio, project_id) -> list:
    """Tasks that have two predictions of a version."""
    found = predictions_of(label_studio, project_id)
    counts = Counter((one["task"], one["model_version"]) for one in found)
    return [pair for pair, count in counts.items() if count > 1]


def label_batch(inline, annotator, project_id):
    person = annotator(project_id)
    return [person.label_next() for _ in inline.status(project_id)["batch"]]


@pytest.mark.parametrize("phase", [phases.PUBLISH, phases.FLIP])
@pytest.mark.parametrize("damage", [cut_short, Path.unlink], ids=["cut short", "gone"])
def test_round_begins_anew_when_its_ranking_is_damaged(
    label_studio, inline, connected_project, annotator, monkeypatch, phase, damage
):
    project_id, _ = connected_project(20)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    kill_in(monkeypatch, inline, project_id, phase)
    damage(folder_of(inline, project_id).ranking_file(1))
    status = inline.reconcile(project_id)
    assert (status["last_error"], status["last_round"]["number"]) == (None, 2)
    assert project_of(label_studio, project_id)["model_version"] == "alfa-mix r2 · 6 labels"
    assert doubled(label_studio, project_id) == []
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_first_round_begins_anew_when_its_ranking_is_damaged(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(12)
    kill_in(monkeypatch, inline, project_id, phases.PUBLISH)
    cut_short(folder_of(inline, project_id).ranking_file(0))
    status = inline.reconcile(project_id)
    assert (status["last_error"], status["last_round"]["number"]) == (None, 1)
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_round_goes_on_when_its_checkpoint_is_damaged(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(20)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    kill_in(monkeypatch, inline, project_id, phases.PUBLISH)
    cut_short(folder_of(inline, project_id).checkpoints / "00001.safetensors")
    status = inline.reconcile(project_id)
    assert (status["last_error"], status["last_round"]["number"]) == (None, 1)
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_network_is_trained_anew_when_its_checkpoint_is_damaged_while_it_embeds(
    inline, connected_project, annotator, monkeypatch
):
    tuned = inline.worker_with(finetune="blocks:1")
    project_id, _ = connected_project(20)
    inline.reconcile(project_id, tuned)
    label_batch(inline, annotator, project_id)
    embed = Background._embed

    def kill(*_arguments):
        raise Killed

    with monkeypatch.context() as killing, pytest.raises(Killed):
        killing.setattr(Background, "_embed", kill)
        inline.reconcile(project_id, tuned)
    assert Background._embed is embed
    cut_short(folder_of(inline, project_id).checkpoints / "tuning-00001.safetensors")
    status = inline.reconcile(project_id, tuned)
    assert status["last_error"] is None
    key = inline.key(project_id)
    assert inline.journal.published_round(key).tuning == inline.journal.tunings.newest(key).number


@pytest.mark.parametrize(
    "name",
    [
        "checkpoints/00002.safetensors",
        pytest.param("rounds/00002-scores.parquet", marks=pytest.mark.soak),
    ],
)
def test_predict_answers_from_the_round_before_when_the_newest_is_damaged(
    inline, connected_project, annotator, name
):
    project_id, _ = connected_project(30)
    for _ in range(2):
        inline.reconcile(project_id)
        label_batch(inline, annotator, project_id)
    status = inline.reconcile(project_id)
    assert status["last_round"]["number"] == 2
    folder = folder_of(inline, project_id)
    cut_short(folder.path / name)
    # No round has seen it: the network is asked.
    body = {"project": inline.key(project_id), "tasks": [{"id": 1, "data": colored_tasks(1, 9)[0]}]}
    reply = httpx.post(f"{inline.url}/predict", json=body, timeout=60)
    (result,) = reply.raise_for_status().json()["results"]
    assert result["model_version"] == status["model_version"]
    assert result["result"][0]["value"]["choices"][0] in CLASSES
    for number in (1, 2):
        for path in (
            f"checkpoints/{number:05d}.safetensors",
            f"rounds/{number:05d}-scores.parquet",
        ):
            (folder.path / path).unlink()
    reply = httpx.post(f"{inline.url}/predict", json=body, timeout=60)
    (result,) = reply.raise_for_status().json()["results"]
    assert (result["model_version"], result["result"]) == (status["model_version"], [])


def test_predictions_are_kept_once_when_they_are_stored_after_nobody_waits_any_more(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(12)
    kill_in(monkeypatch, inline, project_id, phases.PUBLISH)
    version = inline.journal.latest_round(inline.key(project_id)).model_version

    def stored() -> int:
        found = predictions_of(label_studio, project_id)
        return sum(one["model_version"] == version for one in found)

    with Proxy(label_studio.url) as proxy:
        client = LabelStudioClient(proxy.url, label_studio.token, timeout_s=2.0, retries=0)
        context = replace(context_of(inline, project_id), client=client)
        state = inline.journal.latest_round(context.key)
        proxy.delay_s = 10.0
        with pytest.raises(LabelStudioUnreachableError):
            supply.publish_first(context, state)
        proxy.delay_s = 0.0
        late = len(inline.journal.awaiting(state))
        assert late >= 1
        # They are read back, not found, and published once more; then the first ones arrive.
        state = steps.publish(context, state)
        published = len(inline.journal.queue(state))
        wait_for("the late ones", lambda: stored() == published + late)
        assert len(doubled(label_studio, project_id)) == late
        steps.run(context, state)
    assert doubled(label_studio, project_id) == []
    assert stored() == published
    status = inline.reconcile(project_id)
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_prediction_is_kept_once_when_it_is_stored_after_the_flip(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(12)
    status = inline.reconcile(project_id)
    context = context_of(inline, project_id)
    task_id = status["batch"][0]
    late = {"result": [], "score": 0.0, "cluster": 0, "model_version": status["model_version"]}
    context.client.create_prediction(task_id, **late)
    assert doubled(label_studio, project_id) == [(task_id, status["model_version"])]
    again = inline.reconcile(project_id)
    assert doubled(label_studio, project_id) == []
    assert again["batch"] == status["batch"]
    assert label_batch(inline, annotator, project_id) == status["batch"]


def forget(inline, key) -> None:
    """Lose all that the journal knows of a project."""
    inline.journal.update_project(key, connected=False, seen=0, changed=0, checked_at=0.0)
    assert key in inline.journal.upkeep.drop_gone_projects(before=float("inf"))
    assert inline.journal.project(key) is None


def heard_of_again(inline, project_id, key) -> dict:
    """Its status after an event and all the work that follows."""
    inline.journal.note_changed(key)
    inline.reconcile(project_id)  # finds that all is embedded
    return inline.reconcile(project_id)


def test_queue_goes_on_with_the_same_round_when_the_journal_was_lost(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    before = inline.reconcile(project_id)
    key = inline.key(project_id)
    served = [annotator(project_id).label_next() for _ in range(2)]
    forget(inline, key)
    after = heard_of_again(inline, project_id, key)
    assert after["model_version"] == before["model_version"]
    assert after["last_round"]["number"] == 1
    assert after["batch"] == before["batch"]
    assert doubled(label_studio, project_id) == []
    person = annotator(project_id)
    assert served + [person.label_next() for _ in range(4)] == before["batch"]
    assert inline.reconcile(project_id)["last_round"]["number"] == 2
    assert doubled(label_studio, project_id) == []


def test_first_round_has_an_unused_number_when_journal_and_ranking_were_lost(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    inline.reconcile(project_id)
    key = inline.key(project_id)
    folder_of(inline, project_id).ranking_file(1).unlink()
    forget(inline, key)
    after = heard_of_again(inline, project_id, key)
    assert after["model_version"] == "alfa-mix r2 · 6 labels"
    assert doubled(label_studio, project_id) == []
    assert label_batch(inline, annotator, project_id) == after["batch"]


def test_queue_is_read_back_when_the_journal_went_back_to_its_copy(
    label_studio, inline, connected_project, annotator
):
    # As far as this project goes: the journal is put back to right after the flip of round 0.
    project_id, _ = connected_project(30)
    first = inline.reconcile(project_id)
    key = inline.key(project_id)
    state = inline.journal.published_round(key)
    for task in inline.journal.queue(state)[2:]:
        inline.journal.forget_predictions(state, [task.task_id])
        inline.journal.note_gone(state, task.task_id)
    context = context_of(inline, project_id)
    tasks = context.client.selected_tasks(project_id, [*first["batch"], *first["reserve"]])
    inline.journal.tasks.put(key, [sync.mirrored(task, context.config) for task in tasks])
    inline.journal.update_round(state, phase=phases.RECALL)
    again = inline.reconcile(project_id)
    assert again["last_error"] is None
    assert (again["batch"], again["reserve"]) == (first["batch"], first["reserve"])
    assert doubled(label_studio, project_id) == []
    assert label_batch(inline, annotator, project_id) == first["batch"]
