"""What annotators and admins do between and during rounds, against a running Label Studio."""

from __future__ import annotations

from dataclasses import fields

import pytest

from backend.harness.annotate import choice
from backend.loop import opening, steps
from backend.loop.context import ProjectContext
from backend.vision.heads import HeadReport
from tests.loop.conftest import LABEL_CONFIG, colored_tasks, predictions_of, project_of

pytestmark = pytest.mark.label_studio


def label_batch(inline, annotator, project_id):
    """Label all of the current batch through the queue; the task ids served."""
    person = annotator(project_id)
    return [person.label_next() for _ in inline.status(project_id)["batch"]]


def labels_of(inline, project_id):
    """Task id to class of what the last round trained on."""
    columns = inline.journal.tasks.columns(inline.key(project_id))
    pairs = zip(columns["task_id"].tolist(), columns["class_name"], strict=True)
    labels = {task_id: name for task_id, name in pairs if name is not None}
    assert len(labels) == inline.status(project_id)["last_round"]["labels"]
    return labels


def assert_published_once(label_studio, project_id, status):
    """Every task of batch and reserve has exactly one prediction of the current version."""
    version = status["model_version"]
    tasks = [
        p["task"] for p in predictions_of(label_studio, project_id) if p["model_version"] == version
    ]
    assert sorted(tasks) == sorted(status["batch"] + status["reserve"])


def test_reconcile_changes_nothing_when_all_is_as_it_should_be(
    label_studio, inline, connected_project
):
    project_id, _ = connected_project(15)
    first = inline.reconcile(project_id)
    again = inline.reconcile(project_id)
    assert (again["round"], again["batch"]) == (first["round"], first["batch"])
    assert_published_once(label_studio, project_id, again)


def test_project_needs_no_work_when_it_was_reconciled_and_nothing_happened(
    inline, connected_project
):
    # Asking Label Studio for the project's backends makes it call /setup.
    project_id, _ = connected_project(15)
    key = inline.key(project_id)
    inline.reconcile(project_id)
    inline.reconcile(project_id)
    changed = inline.journal.project(key).changed
    inline.reconcile(project_id)
    state = inline.journal.project(key)
    assert (state.changed, state.seen) == (changed, changed)


def test_project_is_noted_as_changed_when_an_annotation_is_submitted(
    inline, connected_project, annotator
):
    # By the webhook that was put right, which names the project in a header only.
    project_id, _ = connected_project(6)
    key = inline.key(project_id)
    inline.reconcile(project_id)
    inline.reconcile(project_id)
    before = inline.journal.project(key)
    assert before.changed == before.seen
    annotator(project_id).label_next()
    assert inline.journal.project(key).changed == before.changed + 1


def test_new_tasks_are_not_forgotten_when_killed_before_their_round_is_open(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    assert inline.reconcile(project_id)["phase"] == "pool-empty"
    added = label_studio.import_tasks(project_id, colored_tasks(6, seed=9))

    def kill(*_):
        raise Killed

    with monkeypatch.context() as killing, pytest.raises(Killed):
        killing.setattr(opening, "_next_number", kill)
        inline.reconcile(project_id)
    assert sorted(inline.reconcile(project_id)["batch"]) == added


def test_queue_is_served_in_rank_order_round_after_round(inline, connected_project, annotator):
    project_id, _ = connected_project(24)
    for number in range(3):
        status = inline.reconcile(project_id)
        assert status["round"] == number
        assert label_batch(inline, annotator, project_id) == status["batch"]


def test_reserve_is_served_when_the_batch_is_done_and_no_round_follows_yet(
    inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    status = inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    person = annotator(project_id)
    served = [person.label_next() for _ in status["reserve"]]
    assert sorted(served) == sorted(status["reserve"])


def test_skipped_tasks_are_no_labels_and_come_no_more(inline, connected_project, annotator):
    project_id, _ = connected_project(24)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    skipped = person.open_next()
    person.skip(skipped)
    served = [person.label_next() for _ in range(5)]
    assert served == status["batch"][1:]
    assert inline.reconcile(project_id)["round"] == 0
    served.append(person.label_next())
    after = inline.reconcile(project_id)
    assert (after["round"], after["last_round"]["labels"]) == (1, 6)
    assert skipped["id"] not in after["batch"] + after["reserve"]
    assert labels_of(inline, project_id).keys() == set(served)


def test_round_trains_on_the_new_label_when_an_annotation_was_updated(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    inline.reconcile(project_id)
    person = annotator(project_id)
    task = person.open_next()
    annotation_id = person.submit(task, "red")
    path = f"/api/annotations/{annotation_id}/"
    label_studio.api.call("PATCH", path, json={"result": choice("green")})
    for _ in range(5):
        person.label_next()
    inline.reconcile(project_id)
    assert labels_of(inline, project_id)[task["id"]] == "green"


def test_task_returns_to_the_pool_when_its_annotation_is_deleted(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    status = inline.reconcile(project_id)
    person = annotator(project_id)
    task = person.open_next()
    label_studio.api.call("DELETE", f"/api/annotations/{person.submit(task)}/")
    assert [person.label_next() for _ in range(5)] == [task["id"], *status["batch"][1:5]]
    assert inline.reconcile(project_id)["round"] == 0
    assert person.label_next() == status["batch"][5]
    assert inline.reconcile(project_id)["round"] == 1


def test_round_0_knows_the_labels_when_tasks_were_imported_with_annotations(label_studio, inline):
    project_id = label_studio.create_project(LABEL_CONFIG)
    tasks = [{"data": data} for data in colored_tasks(24)]
    for task in tasks[:6]:
        task["annotations"] = [{"result": choice(task["data"]["truth"])}]
    label_studio.api.call("POST", f"/api/projects/{project_id}/import", json=tasks)
    inline.connect(project_id)
    status = inline.reconcile(project_id)
    assert status["model_version"] == "alfa-mix r0 · 6 labels"
    statistics = status["last_round"]["statistics"]
    assert statistics["train_accuracy"] > 0.99
    assert statistics["head"]["kind"] == "lda"
    assert statistics["head"].keys() == {field.name for field in fields(HeadReport)}


def test_new_tasks_are_selectable_when_they_come_midway(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(12)
    before = inline.reconcile(project_id)
    few = label_studio.import_tasks(project_id, colored_tasks(5, seed=7))
    assert inline.reconcile(project_id)["batch"] == before["batch"]
    many = label_studio.import_tasks(project_id, colored_tasks(4, seed=8))
    after = inline.reconcile(project_id)
    assert after["last_round"]["statistics"]["reason"] == "there are new images to choose from"
    assert after["last_round"]["pool"] == 12 + 9
    assert set(after["batch"]) & {*few, *many}
    assert label_batch(inline, annotator, project_id) == after["batch"]


def test_batch_goes_on_without_them_when_tasks_are_deleted_midway(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    status = inline.reconcile(project_id)
    for task_id in status["batch"][:2]:
        label_studio.api.call("DELETE", f"/api/tasks/{task_id}/")
    person = annotator(project_id)
    assert [person.label_next() for _ in range(4)] == status["batch"][2:]
    assert inline.reconcile(project_id)["round"] == 0
    assert {person.label_next() for _ in range(2)} <= set(status["reserve"])
    after = inline.reconcile(project_id)
    assert after["round"] == 1
    assert after["last_error"] is None


def test_two_projects_have_queues_of_their_own_when_they_share_a_backend(
    label_studio, inline, connected_project, annotator
):
    (first, _), (second, _) = connected_project(18, seed=1), connected_project(18, seed=2)
    for project_id in (first, second):
        inline.reconcile(project_id)
    served = label_batch(inline, annotator, first)
    inline.reconcile(first)
    inline.reconcile(second)
    assert inline.status(first)["round"] == 1
    assert inline.status(second)["round"] == 0
    assert project_of(label_studio, second)["model_version"] == "alfa-mix r0 · 0 labels"
    assert label_batch(inline, annotator, second) == inline.status(second)["batch"]
    assert not set(served) & set(inline.status(second)["batch"])


def test_round_is_started_when_training_is_requested(label_studio, inline, connected_project):
    project_id, _ = connected_project(18)
    inline.reconcile(project_id)
    backend_id = label_studio.api.call("GET", "/api/ml", params={"project": project_id})[0]["id"]
    label_studio.api.call("POST", f"/api/ml/{backend_id}/train", json={})
    assert inline.reconcile(project_id)["round"] == 1


@pytest.mark.parametrize("strategy", ["alfa-mix", "margin", "core-set"])
def test_round_0_covers_the_pool_when_the_strategy_needs_labels(
    inline, connected_project, annotator, strategy
):
    project_id, _ = connected_project(18)
    worker = inline.worker_with(strategy=strategy, cold_start="kmeans-centers")
    first = inline.reconcile(project_id, worker)
    assert first["last_round"]["statistics"]["strategy"] == "kmeans-centers"
    label_batch(inline, annotator, project_id)
    second = inline.reconcile(project_id, worker)
    assert second["last_error"] is None
    assert second["last_round"]["statistics"]["strategy"] == strategy


def test_batch_is_the_pool_when_the_budget_is_larger(inline, connected_project):
    project_id, task_ids = connected_project(5)
    status = inline.reconcile(project_id)
    assert sorted(status["batch"]) == task_ids
    assert status["reserve"] == []


def test_pool_empty_ends_when_new_tasks_come(label_studio, inline, connected_project, annotator):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    empty = inline.reconcile(project_id)
    assert (empty["phase"], empty["batch"]) == ("pool-empty", [])
    assert inline.reconcile(project_id)["round"] == empty["round"]
    added = label_studio.import_tasks(project_id, colored_tasks(6, seed=9))
    again = inline.reconcile(project_id)
    assert sorted(again["batch"]) == added


def test_version_numbers_go_on_when_the_model_dir_was_lost(label_studio, inline, colored_project):
    project_id, task_ids = colored_project(12)
    old = {"task": task_ids[0], "result": [], "model_version": "alfa-mix r4 · 40 labels"}
    label_studio.api.call("POST", "/api/predictions/", json=old)
    inline.connect(project_id)
    assert inline.reconcile(project_id)["round"] == 5


def test_project_is_given_back_when_the_backend_is_removed(label_studio, inline, connected_project):
    project_id, _ = connected_project(12)
    inline.reconcile(project_id)
    backend_id = label_studio.api.call("GET", "/api/ml", params={"project": project_id})[0]["id"]
    label_studio.api.call("DELETE", f"/api/ml/{backend_id}")
    status = inline.reconcile(project_id)
    assert (status["connected"], status["phase"]) == (False, "disconnected")
    assert project_of(label_studio, project_id)["sampling"] == "Sequential sampling"
    hooks = label_studio.api.call("GET", "/api/webhooks/", params={"project": project_id})
    assert hooks == []


def delete_predictions(label_studio, project_id):
    """Delete all of them, as the Data Manager does."""
    body = {"selectedItems": {"all": True, "excluded": []}}
    path = f"/api/dm/actions?id=delete_tasks_predictions&project={project_id}"
    label_studio.api.call("POST", path, json=body)
    assert predictions_of(label_studio, project_id) == []


def test_batch_is_published_again_when_somebody_deleted_its_predictions(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(12)
    status = inline.reconcile(project_id)
    delete_predictions(label_studio, project_id)
    again = inline.reconcile(project_id)
    assert_published_once(label_studio, project_id, again)
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_batch_is_published_again_when_it_is_deleted_right_before_the_flip(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    # Label Studio refuses to follow a version that no prediction carries.
    project_id, _ = connected_project(12)
    flip, flips = steps.STEPS["flip"], []

    def delete_first(context, state):
        if not flips:
            delete_predictions(label_studio, project_id)
        flips.append(state.number)
        return flip(context, state)

    monkeypatch.setitem(steps.STEPS, "flip", delete_first)
    status = inline.reconcile(project_id)
    assert flips == [0, 0]
    assert_published_once(label_studio, project_id, status)
    assert label_batch(inline, annotator, project_id) == status["batch"]


def test_round_is_due_when_as_many_labels_were_corrected(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(18)
    inline.reconcile(project_id)
    served = label_batch(inline, annotator, project_id)
    assert inline.reconcile(project_id)["round"] == 1
    for number, task_id in enumerate(served, 1):
        task = label_studio.api.call("GET", f"/api/tasks/{task_id}")
        (note,) = task["annotations"]
        (chosen,) = note["result"][0]["value"]["choices"]
        other = "red" if chosen != "red" else "blue"
        path = f"/api/annotations/{note['id']}/"
        label_studio.api.call("PATCH", path, json={"result": choice(other)})
        assert inline.reconcile(project_id)["round"] == (1 if number < 6 else 2)


@pytest.mark.parametrize("damage", ["missing", "moved", "inactive", "heavy"])
def test_webhook_is_put_right_when_it_is_wrong(label_studio, inline, connected_project, damage):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    api = label_studio.api
    hook = api.call("GET", "/api/webhooks/", params={"project": project_id})[0]
    if damage == "missing":
        api.call("DELETE", f"/api/webhooks/{hook['id']}/")
    elif damage == "moved":
        moved = {"url": "http://localhost:9/webhook"}
        api.call("PATCH", f"/api/webhooks/{hook['id']}/", json=moved)
    elif damage == "inactive":
        api.call("PATCH", f"/api/webhooks/{hook['id']}/", json={"is_active": False})
    else:
        # As Label Studio makes it: it then serializes the whole project within every Submit.
        api.call("PATCH", f"/api/webhooks/{hook['id']}/", json={"send_payload": True})
    inline.reconcile(project_id)
    (found,) = api.call("GET", "/api/webhooks/", params={"project": project_id})
    assert (found["url"], found["is_active"]) == (f"{inline.url}/webhook", True)
    assert found["send_payload"] is False
    assert found["headers"]["X-Alfa-Mix-Project"] == inline.key(project_id)


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs, not even handlers of Exception."""


@pytest.mark.parametrize("phase", ["select", "publish", "flip"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_batch_is_published_once_when_the_worker_is_killed_in_a_step(
    label_studio, inline, connected_project, annotator, monkeypatch, phase, moment
):
    """Killed before the step began, or after its work but before the journal knew."""
    project_id, _ = connected_project(18)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    step = steps.STEPS[phase]

    def killed(context, state):
        if moment == "after":
            update_round = context.journal.update_round
            monkeypatch.setattr(context.journal, "update_round", lambda *_, **__: kill())
            try:
                step(context, state)
            finally:
                monkeypatch.setattr(context.journal, "update_round", update_round)
        kill()

    def kill():
        raise Killed

    monkeypatch.setitem(steps.STEPS, phase, killed)
    with pytest.raises(Killed):
        inline.reconcile(project_id)
    monkeypatch.setitem(steps.STEPS, phase, step)
    status = inline.reconcile(project_id)
    assert status["round"] == 1
    assert_published_once(label_studio, project_id, status)
    assert project_of(label_studio, project_id)["model_version"] == status["model_version"]


def test_batch_is_published_once_when_killed_between_prediction_and_journal(
    label_studio, inline, connected_project, monkeypatch
):
    project_id, _ = connected_project(18)
    note = inline.journal.note_prediction
    calls = []

    def killed_at_third(state, task_id, prediction_id):
        calls.append(task_id)
        if len(calls) == 3:
            raise Killed
        note(state, task_id, prediction_id)

    monkeypatch.setattr(inline.journal, "note_prediction", killed_at_third)
    with pytest.raises(Killed):
        inline.reconcile(project_id)
    monkeypatch.setattr(inline.journal, "note_prediction", note)
    assert_published_once(label_studio, project_id, inline.reconcile(project_id))


def test_next_round_makes_the_ranking_anew_when_it_was_lost(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(24)
    first = inline.reconcile(project_id)
    context = ProjectContext.of(inline.worker, inline.journal.project(inline.key(project_id)))
    context.folder.ranking_file(0).unlink()
    after = inline.reconcile(project_id)
    assert (after["round"], after["last_error"]) == (1, None)
    assert "ranking of the last round" in after["last_round"]["statistics"]["reason"]
    assert after["batch"] == first["batch"]
    assert label_batch(inline, annotator, project_id) == after["batch"]


def test_interrupted_round_chooses_with_the_new_classes_when_the_config_was_edited(
    label_studio, inline, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(24)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)

    def kill(*_arguments):
        raise Killed

    with monkeypatch.context() as killing, pytest.raises(Killed):
        killing.setitem(steps.STEPS, "select", kill)
        inline.reconcile(project_id)
    path = f"/api/projects/{project_id}"
    config = label_studio.api.call("GET", path)["label_config"]
    more = config.replace('<Choice value="blue"/>', '<Choice value="azure"/><Choice value="blue"/>')
    label_studio.api.call("PATCH", path, json={"label_config": more})
    after = inline.reconcile(project_id)
    assert after["last_error"] is None
    published = inline.journal.published_round(inline.key(project_id))
    assert list(published.classes) == ["azure", "blue", "green", "red"]
