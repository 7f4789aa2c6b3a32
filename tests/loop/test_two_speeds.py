"""Nobody waits for a network: rounds go on while it trains, and take it over when it is whole."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from backend.errors import ImageError
from backend.harness.served import was_queued
from backend.harness.shift import Event
from backend.loop.background import Background
from backend.loop.context import ProjectContext
from backend.loop.worker import Worker
from backend.vision import VisionSession
from tests.loop.conftest import colored_tasks, wait_for

pytestmark = pytest.mark.label_studio


@pytest.fixture(scope="module")
def tuned(inline):
    """The same backend with a block that is fine-tuned."""
    return inline.worker_with(finetune="blocks:1")


def label(annotator, project_id, count):
    person = annotator(project_id)
    return [person.label_next() for _ in range(count)]


def test_network_is_taken_over_at_a_round_of_its_own(inline, tuned, connected_project, annotator):
    project_id, _ = connected_project(30)
    key = inline.key(project_id)
    first = inline.reconcile(project_id, tuned)
    assert label(annotator, project_id, 6) == first["batch"]
    # What the queue does meanwhile: a round with a new head on the embeddings at hand.
    fast = inline.keep_queue(project_id, tuned)
    assert (fast["round"], fast["model_version"]) == (1, "alfa-mix r1 · 6 labels")
    assert inline.journal.published_round(key).tuning == 0
    after = inline.reconcile(project_id, tuned)
    assert after["last_round"]["statistics"]["reason"] == "a fine-tuned network is ready"
    published = inline.journal.published_round(key)
    assert (published.number, published.tuning, published.n_embedded) == (2, 1, 30)
    tuning = inline.journal.tunings.newest_done(key)
    assert (tuning.n_labeled, tuning.statistics["round"]) == (6, 1)
    assert label(annotator, project_id, 6) == after["batch"]


@pytest.mark.soak
def test_embeddings_of_networks_long_gone_are_dropped_while_people_label_on(
    inline, tuned, connected_project, annotator
):
    # Another network is due whenever one is whole: nothing ever rests.
    project_id, _ = connected_project(60)
    inline.reconcile(project_id, tuned)
    key, background = inline.key(project_id), Background(lambda: False)
    context = ProjectContext.of(tuned, inline.journal.project(key))
    for number in range(1, 7):
        label(annotator, project_id, 6)
        inline.keep_queue(project_id, tuned)
        while (done := inline.journal.tunings.newest_done(key)) is None or done.number < number:
            assert background.advance(context)
    kept = context.stores().embeddings.versions()
    # The pre-trained one, the one that the queue follows, and the newest two.
    assert len(kept) <= 4
    assert {context.network(done).version, context.session.pretrained().version} < set(kept)
    published = inline.journal.published_round(key)
    chosen_by = inline.journal.tunings.get(key, published.tuning)
    assert context.network(chosen_by).version in kept


def test_new_tasks_are_embedded_with_the_network_that_rounds_choose_by(
    label_studio, inline, tuned, connected_project, annotator
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id, tuned)
    label(annotator, project_id, 6)
    inline.reconcile(project_id, tuned)
    data = [{"image": task["image"]} for task in colored_tasks(12, seed=5)]
    added = label_studio.import_tasks(project_id, data)
    after = inline.reconcile(project_id, tuned)
    assert after["last_round"]["pool"] == 30 - 6 + 12
    assert set(after["batch"] + after["reserve"]) & set(added)


@pytest.mark.soak
def test_network_is_trained_anew_when_that_was_requested_while_one_embeds(
    inline, tuned, connected_project, annotator
):
    project_id, _ = connected_project(30)
    key = inline.key(project_id)
    inline.reconcile(project_id, tuned)
    label(annotator, project_id, 6)
    inline.keep_queue(project_id, tuned)
    background = Background(lambda: False)
    while (tuning := inline.journal.tunings.newest(key)) is None or tuning.phase != "embed":
        assert background.advance(ProjectContext.of(tuned, inline.journal.project(key)))
    label(annotator, project_id, 1)
    inline.journal.note_changed(key, training_requested=True)
    inline.keep_queue(project_id, tuned)
    inline.reconcile(project_id, tuned)
    assert [t.n_labeled for t in trained(inline, key)] == [6, 7]


def trained(inline, key):
    """The networks that are done, oldest first."""
    newest = inline.journal.tunings.newest_done(key).number
    return [inline.journal.tunings.get(key, number) for number in range(1, newest + 1)]


class ImitatedSlowTraining:
    """Training that lasts until a test lets it end, as on a large network and a small machine."""

    def __init__(self, monkeypatch) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()
        train = VisionSession.train

        def slowly(session, *arguments, **keywords):
            self.began.set()
            assert self.may_end.wait(300)
            return train(session, *arguments, **keywords)

        monkeypatch.setattr(VisionSession, "train", slowly)


@contextmanager
def working_on(inline, context, project_id, slow):
    """A worker's two threads, for one project."""
    worker, key = Worker(context), inline.key(project_id)

    def keep(do):
        while not worker.stopping:
            if not do(inline.journal.project(key)):
                time.sleep(0.1)

    threads = [
        threading.Thread(target=keep, args=(do,)) for do in (worker.work_on, worker.compute_for)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        slow.may_end.set()
        worker.stopping = True
        for thread in threads:
            thread.join()


def test_queue_is_supplied_and_follows_labels_during_an_imitated_long_training(
    label_studio, inline, tuned, connected_project, annotator, monkeypatch
):
    project_id, _ = connected_project(60)
    slow = ImitatedSlowTraining(monkeypatch)
    with working_on(inline, tuned, project_id, slow):
        wait_for("the first round", lambda: inline.status(project_id)["last_round"])
        person = annotator(project_id)
        served = []
        while len(served) < 36:
            task = person.open_next()
            assert task is not None
            # One of the queue before comes without its prediction where the flip is just then.
            event = Event("", "open", time.time(), 0.0, task["id"], None, None)
            assert was_queued(label_studio.api, event)
            person.submit(task)
            served.append(task["id"])
            time.sleep(0.25)
        assert slow.began.is_set()
        status = wait_for("a round that follows", lambda: _round(inline, project_id, 3))
        assert status["background"]["phase"] == "train"
        assert inline.journal.published_round(inline.key(project_id)).tuning == 0
        slow.may_end.set()
        wait_for(
            "the network to be taken over",
            lambda: inline.journal.published_round(inline.key(project_id)).tuning >= 1,
        )


def _round(inline, project_id, number):
    status = inline.status(project_id)
    return status if status["round"] >= number else None


class Killed(BaseException):
    """Stands for a SIGKILL: nothing after it runs, not even handlers of Exception."""


@pytest.fixture
def killed_in_training(inline, tuned, connected_project, annotator, monkeypatch):
    """A project with six labels whose worker was killed while its first network trained."""
    project_id, _ = connected_project(24)
    inline.reconcile(project_id, tuned)
    label(annotator, project_id, 6)

    def kill(*_arguments, **_keywords):
        raise Killed

    with monkeypatch.context() as killing, pytest.raises(Killed):
        killing.setattr(VisionSession, "train", kill)
        inline.reconcile(project_id, tuned)
    return project_id


def test_training_begins_anew_when_the_worker_was_killed_in_it(inline, tuned, killed_in_training):
    project_id = killed_in_training
    key = inline.key(project_id)
    assert inline.journal.tunings.newest(key).phase == "train"
    assert inline.status(project_id)["round"] == 1
    inline.reconcile(project_id, tuned)
    assert inline.journal.tunings.newest_done(key).number == 1


def test_training_begins_anew_when_the_classes_change_in_it(
    label_studio, inline, tuned, killed_in_training
):
    project_id = killed_in_training
    key = inline.key(project_id)
    path = f"/api/projects/{project_id}"
    config = label_studio.api.call("GET", path)["label_config"]
    more = config.replace('<Choice value="red"/>', '<Choice value="red"/><Choice value="teal"/>')
    label_studio.api.call("PATCH", path, json={"label_config": more})
    after = inline.reconcile(project_id, tuned)
    assert after["last_error"] is None
    tuning = inline.journal.tunings.newest_done(key)
    assert list(tuning.classes) == ["blue", "green", "red", "teal"]
    assert inline.journal.published_round(key).tuning == tuning.number


def test_another_project_gets_its_first_queue_while_one_is_being_trained(
    inline, tuned, connected_project, annotator, monkeypatch
):
    busy, _ = connected_project(24)
    inline.reconcile(busy, tuned)
    label(annotator, busy, 6)
    inline.keep_queue(busy, tuned)
    worker = Worker(tuned)
    newcomer, _ = connected_project(18, seed=3)
    keys = {inline.key(busy), inline.key(newcomer)}
    each = worker._each
    monkeypatch.setattr(worker, "_each", lambda needs: [s for s in each(needs) if s.key in keys])
    worker.work_on(inline.journal.project(inline.key(newcomer)))
    embedded_in_training = []

    def embed_too(session, *_arguments, on_progress, **_keywords):
        on_progress(1, 60)
        embedded_in_training.append(inline.journal.project(inline.key(newcomer)).embedded)
        raise ImageError("that is all this test needs of a training")

    monkeypatch.setattr(VisionSession, "train", embed_too)
    worker.compute_for(inline.journal.project(inline.key(busy)))  # opens the training
    worker.compute_for(inline.journal.project(inline.key(busy)))
    assert embedded_in_training == [18]
    worker.work_on(inline.journal.project(inline.key(newcomer)))
    assert len(inline.status(newcomer)["batch"]) == 6
