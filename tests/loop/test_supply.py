"""How many tasks lie ahead, and in which order they are published; Label Studio is imitated."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backend.errors import LabelStudioUnreachableError
from backend.label_studio.label_config import ImageChoices
from backend.loop import asked, publishing, queue_order, steps, supply, sync
from backend.loop.context import ProjectContext, WorkerContext
from backend.settings import Settings
from model_store import phases
from model_store.journal import Journal
from model_store.project_folder import ProjectFolder
from model_store.rankings import Ranking, read_ranking, write_ranking
from tests.states import CLASSES, KEY, mirrored_task, queued_task, round_state

CONFIG = ImageChoices("label", "image", "image", ("cat", "dog"))
POOL = 40


class ImitatedLabelStudio:
    """Keeps predictions; `lost` counts the answers that never arrive though they are stored."""

    request_s = 0.0

    def __init__(self) -> None:
        self.stored: dict[int, tuple[int, str]] = {}
        self.predictions: list[dict[str, Any]] = []
        self.requests = 0
        self.lost = 0
        self.gone: set[int] = set()
        self.drafted: list[int] = []
        self.looks = 0

    def create_prediction(self, task_id: int, **fields: Any) -> int | None:
        self.requests += 1
        if task_id in self.gone:
            return None
        self.predictions.append(fields)
        prediction_id = len(self.predictions)
        self.stored[prediction_id] = (task_id, fields["model_version"])
        if self.lost:
            self.lost -= 1
            raise TimeoutError("no answer")
        return prediction_id

    def delete_prediction(self, prediction_id: int) -> None:
        del self.stored[prediction_id]

    def selected_predictions(self, _project_id: int, task_ids: list[int]):
        self.requests += 1
        found = set(task_ids) & set(self.published())
        return [self._task(task_id) for task_id in sorted(found)]

    def predictions_of_version(self, _project_id: int, version: str):
        return [self._task(task_id) for task_id in sorted(set(self.published()))]

    def update_prediction(self, prediction_id: int, **fields: Any) -> None:
        self.predictions[prediction_id - 1] |= fields

    def in_order(self) -> list[int]:
        """The published tasks as they are served to somebody new."""
        ids = sorted(self.stored, key=lambda number: self.predictions[number - 1]["score"])
        return [self.stored[number][0] for number in ids]

    def published(self) -> list[int]:
        return [task_id for task_id, _version in self.stored.values()]

    def drafted_task_ids(self, _project_id: int, task_ids: list[int]) -> list[int]:
        self.looks += 1
        return sorted(set(self.drafted) & set(task_ids))

    def store_late(self, task_id: int) -> None:
        """The last prediction of a task once more, by a request that nobody waits for any more."""
        (version,) = {version for one, version in self.stored.values() if one == task_id}
        self.create_prediction(task_id, model_version=version)

    def id_of(self, task_id: int) -> int:
        """The id of a task's only prediction."""
        (found,) = [number for number, (one, _) in self.stored.items() if one == task_id]
        return found

    def _task(self, task_id: int) -> dict[str, Any]:
        predictions = [
            {"id": number, "model_version": version}
            for number, (one, version) in self.stored.items()
            if one == task_id
        ]
        return {"id": task_id, "predictions": predictions}


class SteppedClock:
    """Stands still until a test moves it."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(autouse=True)
def nobody_begins(monkeypatch) -> None:
    """No tasks for a team that may begin to label: it would take all of these small pools."""
    monkeypatch.setattr(supply, "LEAST_PER_S", 0.0)


@pytest.fixture
def journal(tmp_path, clock) -> Journal:
    journal = Journal.in_folder(tmp_path, clock=clock)
    journal.note_changed(KEY)
    journal.update_project(KEY, users=1)
    journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(POOL)])
    return journal


@pytest.fixture
def label_studio() -> ImitatedLabelStudio:
    return ImitatedLabelStudio()


@pytest.fixture
def context(journal, label_studio, tmp_path) -> ProjectContext:
    worker = WorkerContext(
        Settings(model_dir=tmp_path, budget=4),
        journal,
        session=SimpleNamespace(),  # type: ignore[arg-type]  # no network is needed here
        access=SimpleNamespace(),  # type: ignore[arg-type]
    )
    folder = ProjectFolder(tmp_path / KEY)
    return ProjectContext(worker, label_studio, SimpleNamespace(), folder, KEY, 12, CONFIG)


@pytest.fixture
def state(journal, context):
    """A round that ranked the pool backwards: task 39 first; it took 10 s."""
    state = round_state(3, started_at=980.0, finished_at=990.0, n_pool=POOL)
    journal.open_round(state)
    ids = np.arange(POOL)[::-1].copy()
    labels = np.tile([0, 1], POOL // 2).astype(np.int32)
    probabilities = np.full(POOL, 0.75, np.float32)
    path = context.folder.ranking_file(3)
    write_ranking(path, Ranking(ids, np.arange(POOL) % 4, labels, probabilities))
    return state


def label(journal, *task_ids, at=0.0, by=1):
    journal.tasks.put(
        KEY,
        [
            mirrored_task(task_id, class_name="cat", annotated_at=at, annotated_by=by)
            for task_id in task_ids
        ],
    )


def top_up(context, state):
    while supply.top_up(context, state):
        pass


def publish_first(context, state):
    while supply.publish_first(context, state):
        pass


def test_wanted_ahead_is_a_batch_and_one_for_each_user_when_nobody_labels(context, state):
    assert supply.wanted_ahead(context, state) == 4 + 1


def test_wanted_ahead_is_what_a_team_labels_in_a_round_when_nobody_labeled_yet(
    context, state, monkeypatch
):
    monkeypatch.setattr(supply, "LEAST_PER_S", 1.5)
    assert supply.wanted_ahead(context, state) == 1.5 * 10 + 1


def test_wanted_ahead_is_what_people_label_until_the_next_flip_when_that_is_more(
    context, state, journal
):
    # Seven labels in the last ten seconds; a round took 15 s, so 30 s are to be bridged: 21 labels.
    for task_id in range(7):
        label(journal, task_id, at=500.0 - task_id)
    journal.open_round(round_state(4, seconds={"select": 14.0, "flip": 1.0}, finished_at=995.0))
    assert supply.labels_per_s(journal, KEY) == pytest.approx(0.7)
    assert supply.wanted_ahead(context, state) == 21 + 1


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([0], 0.1),  # somebody just began
        ([0, 12, 14, 16, 18, 20, 22, 24, 26, 28], 10 / 30),  # and had worked faster before
        ([0, 121, 122], 0.1),  # long ago
        ([0, *range(40, 120, 4)], 21 / 120),
    ],
)
def test_labels_per_s_are_the_fastest_of_the_last_minutes(context, journal, ages, expected):
    for task_id, age in enumerate(ages):
        label(journal, task_id, at=500.0 - age)
    assert supply.labels_per_s(journal, KEY) == pytest.approx(expected)


def test_labels_per_s_are_no_more_than_people_can_give_when_annotated_tasks_were_imported(
    context, journal
):
    for task_id in range(30):
        label(journal, task_id, at=500.0, by=task_id % 2)
    assert supply.labels_per_s(journal, KEY) == 2


def test_ranking_is_lost_when_its_file_is_missing_or_damaged(context, state):
    assert queue_order.is_ranked(context, state)
    assert not queue_order.is_ranked(context, round_state(9))
    context.folder.ranking_file(3).write_bytes(b"PAR1")
    assert not queue_order.is_ranked(context, state)


def test_rounds_are_taken_to_last_ten_seconds_when_they_were_shorter(context, journal):
    # Label Studio was gone for hours in between: that is not how long a round works.
    state = round_state(4, started_at=1.0, finished_at=981.0, seconds={"select": 1.0})
    journal.open_round(state)
    for task_id in range(9):
        label(journal, task_id, at=500.0)
    assert supply.wanted_ahead(context, state) == 2 * 10 * 0.9 + 1


@pytest.mark.parametrize(
    ("users", "labeled_by", "expected"), [(1, 0, 1), (50, 0, 50), (500, 0, 64), (500, 3, 70)]
)
def test_holders_are_all_users_of_a_small_organization(
    context, journal, users, labeled_by, expected
):
    journal.update_project(KEY, users=users)
    for person in range(labeled_by):
        label(journal, person, by=person)
    assert supply.holders(context) == expected


def test_top_up_publishes_the_head_of_the_ranking_with_scores_in_order(
    context, state, label_studio
):
    top_up(context, state)
    assert label_studio.published() == [39, 38, 37, 36, 35, 34, 33, 32]  # whole chunks
    scores = [fields["score"] for fields in label_studio.predictions]
    assert scores == pytest.approx([0, 1 / 5, 2 / 6, 3 / 7, 4 / 8, 5 / 9, 6 / 10, 7 / 11])
    clusters = [fields["cluster"] for fields in label_studio.predictions]
    assert clusters == [300_000, 300_001, 300_002, 300_003] * 2
    choices = [f["result"][0]["value"]["choices"] for f in label_studio.predictions]
    assert choices == [["cat"], ["dog"]] * 4


def test_batch_is_the_budget_and_the_rest_is_the_reserve(context, state, journal):
    top_up(context, state)
    assert [task.is_reserve for task in journal.queue(state)] == [False] * 4 + [True] * 4


def test_top_up_asks_nothing_while_enough_lies_ahead(context, state, label_studio):
    top_up(context, state)
    label_studio.requests = 0
    assert not supply.top_up(context, state)
    assert label_studio.requests == 0


def test_top_up_goes_on_where_it_ended_as_far_as_the_pool_goes(
    context, state, journal, label_studio
):
    for task_id in range(POOL)[::-1]:
        top_up(context, state)
        assert journal.queue_progress(state).waiting >= min(5, task_id + 1)
        label(journal, task_id)
    assert label_studio.published() == list(range(POOL))[::-1]
    # One request a label, whole chunks of them at a time.
    assert label_studio.requests == POOL


def test_drafts_are_looked_at_now_and_then(context, state, label_studio, clock):
    top_up(context, state)
    clock.now += 0.9 * supply.DRAFTS_EVERY_S
    top_up(context, state)
    assert label_studio.looks == 1
    clock.now += 0.2 * supply.DRAFTS_EVERY_S
    top_up(context, state)
    assert label_studio.looks == 2


def test_drafts_are_looked_at_again_when_the_clock_was_set_back(
    context, state, label_studio, clock
):
    top_up(context, state)
    clock.now -= 3600.0
    top_up(context, state)
    assert label_studio.looks == 2


def test_tasks_of_which_somebody_keeps_a_draft_do_not_wait_for_the_others(
    context, state, journal, label_studio, clock
):
    top_up(context, state)
    assert journal.queue_progress(state).waiting == 8
    label_studio.drafted = [39, 38, 35, 34, 1]  # one that no round published
    clock.now += supply.DRAFTS_EVERY_S
    top_up(context, state)
    assert label_studio.published() == list(range(39, 23, -1))
    assert journal.queue_progress(state).waiting == 16 - 4
    label_studio.drafted = []
    clock.now += supply.DRAFTS_EVERY_S
    top_up(context, state)
    assert journal.queue_progress(state).waiting == 16
    assert [task.task_id for task in journal.waiting_tasks(state)] == label_studio.published()


def test_top_up_leaves_out_what_was_labeled_or_skipped_meanwhile(
    context, state, journal, label_studio
):
    label(journal, 39, 37)
    journal.tasks.put(KEY, [mirrored_task(36, is_skipped=True)])
    journal.tasks.remove(KEY, [35])
    top_up(context, state)
    assert label_studio.published() == [38, 34, 33, 32, 31, 30, 29, 28]


def test_what_is_not_ranked_yet_follows_where_the_ranking_ends(
    context, state, journal, label_studio
):
    journal.tasks.put(KEY, [mirrored_task(task_id) for task_id in range(POOL, POOL + 20)])
    label(journal, *range(1, POOL), at=None)  # all but the last of the ranking
    top_up(context, state)
    assert label_studio.published() == [0, *range(POOL, POOL + 7)]
    scores = [fields["score"] for fields in label_studio.predictions]
    assert scores == sorted(scores)
    assert scores[-1] < 1
    assert all(fields["result"] == [] for fields in label_studio.predictions[1:])
    label(journal, 0, *range(POOL, POOL + 7), at=None)
    top_up(context, state)
    assert label_studio.published()[8:] == list(range(POOL + 7, POOL + 15))


def test_top_up_goes_past_tasks_that_label_studio_no_longer_has(
    context, state, journal, label_studio
):
    label_studio.gone = {38, 36}
    top_up(context, state)
    assert label_studio.published()[:3] == [39, 37, 35]
    assert not {38, 36} & set(journal.tasks.ids(KEY))
    assert journal.awaiting(state) == []


@pytest.mark.parametrize("lost", [1, 2])
def test_nothing_is_published_twice_when_answers_were_lost(
    context, state, journal, label_studio, lost
):
    label_studio.lost = lost
    for _ in range(lost):
        with pytest.raises(TimeoutError):
            top_up(context, state)
    top_up(context, state)
    assert label_studio.published() == [39, 38, 37, 36, 35, 34, 33, 32]
    assert journal.awaiting(state) == []


@pytest.mark.parametrize(("waiting", "expected"), [(13, False), (14, True)])
def test_queue_lasts_a_round_when_more_waits_than_is_labeled_meanwhile(
    context, journal, waiting, expected
):
    # 0.6 labels a second, rounds of 5 s, twice that: 6 labels, and 8 tasks besides.
    journal.open_round(round_state(4, seconds={"select": 5.0}, finished_at=1.0))
    for task_id in range(6):
        label(journal, task_id, at=500.0 - task_id)
    assert supply.lasts_a_round(context, waiting) is expected


def test_publish_first_serves_whoever_labels_now(context, state, journal, label_studio):
    for person in range(3):
        label(journal, person, at=500.0, by=person)
    publish_first(context, state)
    assert len(label_studio.stored) >= supply.FIRST_TASKS + 2 * 3


def test_queue_before_is_kept_from_running_dry_when_people_label_while_the_next_is_published(
    context, state, journal, label_studio
):
    supply.top_up(context, state)
    before = sorted(label_studio.published())
    following = round_state(4, phase=phases.PUBLISH, n_pool=POOL)
    journal.open_round(following)
    write_ranking(context.folder.ranking_file(4), read_ranking(context.folder.ranking_file(3)))
    # Two people labeled all but one of the queue, after the round had begun.
    for number, task_id in enumerate(before[1:]):
        label(journal, task_id, at=500.0, by=number % 2)
    publish_first(context, following)
    assert journal.queue_progress(state).waiting >= 1 + 2 * 2
    assert journal.queue_progress(following).waiting >= supply.FIRST_TASKS + 2 * 2


def test_publish_first_takes_no_more_than_there_is(context, journal, label_studio):
    journal.tasks.remove(KEY, [task_id for task_id in range(POOL) if task_id not in (7, 9)])
    state = round_state(4, n_pool=2)
    journal.open_round(state)
    write_ranking(context.folder.ranking_file(4), Ranking(np.array([7, 9]), np.array([0, 1])))
    publish_first(context, state)
    assert label_studio.published() == [7, 9]
    assert [fields["result"] for fields in label_studio.predictions] == [[], []]


def test_preselection_is_the_class_when_the_config_has_it(context):
    task = queued_task(0, class_name="dog", probability=0.75)
    (region,) = publishing.preselection(context, task)
    assert (region["from_name"], region["value"]) == ("label", {"choices": ["dog"]})


def test_preselection_is_empty_when_the_admin_wants_none(context):
    task = queued_task(0, class_name="dog", probability=0.75)
    context = replace(context, own_settings={"preselect": "off"})
    assert publishing.preselection(context, task) == []


def test_tasks_that_were_drawn_are_published_without_a_hint(context, state, label_studio):
    path = context.folder.ranking_file(3)
    ranking = read_ranking(path)
    write_ranking(path, replace(ranking, is_drawn=ranking.task_ids == 38))
    top_up(context, state)
    results = dict(zip(label_studio.published(), label_studio.predictions, strict=True))
    assert [task_id for task_id in results if not results[task_id]["result"]] == [38]


def test_asked_tasks_come_first_when_the_queue_lacks_them(context, state, journal, label_studio):
    journal.asked.first(KEY, [3, 39, 20])
    top_up(context, state)
    assert label_studio.in_order()[:5] == [3, 39, 20, 38, 37]
    clusters = [fields["cluster"] for fields in label_studio.predictions[:3]]
    assert clusters == [399_997, 399_998, 399_999]


def test_asked_tasks_move_to_the_front_when_they_are_published_already(
    context, state, journal, label_studio
):
    top_up(context, state)
    before = label_studio.in_order()
    journal.asked.first(KEY, [before[2], 3])
    top_up(context, state)
    assert label_studio.in_order()[:3] == [before[2], 3, before[0]]
    assert [task.task_id for task in journal.queue(state)][:3] == [before[2], 3, before[0]]
    assert sorted(label_studio.published()) == sorted([3, *before])


def test_what_is_asked_for_last_comes_first(context, state, journal, label_studio):
    journal.asked.first(KEY, [3, 20])
    top_up(context, state)
    journal.asked.first(KEY, [20, 5])
    top_up(context, state)
    assert label_studio.in_order()[:3] == [20, 5, 3]


def test_asked_tasks_are_brought_forward_in_several_passes_when_they_are_many(
    context, state, journal, label_studio, monkeypatch
):
    monkeypatch.setattr(asked, "AT_ONCE", 2)
    journal.asked.first(KEY, [1, 2, 3, 4, 5])
    assert supply.top_up(context, state)
    top_up(context, state)
    assert label_studio.in_order()[:5] == [1, 2, 3, 4, 5]


def test_preselection_is_empty_when_nothing_was_trained(context):
    assert publishing.preselection(context, queued_task(0)) == []


def test_preselection_is_empty_when_the_config_lost_the_class_meanwhile(context):
    config = replace(CONFIG, classes=("cat", "bird"))
    task = queued_task(0, class_name="dog", probability=0.75)
    assert publishing.preselection(replace(context, config=config), task) == []
    assert CLASSES[1] == "dog"


@pytest.mark.parametrize(("limit", "at_once"), [("SLOW_REQUEST_S", 7), ("BUSY_REQUEST_S", 3)])
def test_requests_go_side_by_side_when_each_takes_long(
    context, state, label_studio, monkeypatch, limit, at_once
):
    monkeypatch.setattr(publishing, limit, 0.0)
    store, those = label_studio.create_prediction, threading.Barrier(at_once)

    def slowly(task_id, **fields):
        # The first is asked alone.
        if 39 > task_id >= 39 - at_once:
            those.wait(timeout=60)
        return store(task_id, **fields)

    label_studio.create_prediction = slowly
    top_up(context, state)
    assert sorted(label_studio.published()) == list(range(32, 40))


@pytest.mark.parametrize(("limit", "asked"), [(None, 1), ("BUSY_REQUEST_S", 3)])
def test_no_more_is_asked_when_label_studio_goes_away_between_two_predictions(
    context, state, label_studio, monkeypatch, limit, asked
):
    if limit is not None:
        monkeypatch.setattr(publishing, limit, 0.0)
    store, failed = label_studio.create_prediction, []

    def go_away_after_one(task_id, **fields):
        if label_studio.published():
            failed.append(task_id)
            raise TimeoutError("no answer")
        return store(task_id, **fields)

    label_studio.create_prediction = go_away_after_one
    with pytest.raises(TimeoutError):
        supply.top_up(context, state)
    assert len(failed) == asked
    label_studio.create_prediction = store
    top_up(context, state)
    assert label_studio.published() == [39, 38, 37, 36, 35, 34, 33, 32]


def test_queue_is_flipped_though_people_label_as_fast_as_it_is_published(
    context, state, journal, monkeypatch
):
    journal.open_round(round_state(4, phase=phases.PUBLISH, n_pool=POOL))
    passes = []

    def never_enough(_context, _state):
        passes.append(1)
        assert len(passes) < 100
        return True

    monkeypatch.setattr(supply, "publish_first", never_enough)
    monkeypatch.setattr(sync, "read_changes", lambda context: None)
    assert steps.publish(context, journal.latest_round(KEY)).phase == phases.FLIP


def test_a_pass_publishes_many_when_each_request_takes_long(
    context, state, label_studio, journal, monkeypatch
):
    monkeypatch.setattr(publishing, "SLOW_REQUEST_S", 0.0)
    monkeypatch.setattr(supply, "PUBLISH_FOR_S", 0.0)
    journal.update_project(KEY, users=100)
    monkeypatch.setattr(publishing, "MOST_WHERE_SLOW", 24)
    assert supply.top_up(context, state)
    assert len(label_studio.published()) == 24


def test_one_of_two_predictions_is_deleted_when_a_request_was_stored_late(
    context, state, journal, label_studio
):
    top_up(context, state)
    label_studio.store_late(39)
    assert not publishing.compare(context, state)
    assert sorted(label_studio.published()) == list(range(32, 40))
    known = {task.task_id: task.prediction_id for task in journal.queue(state)}
    assert {task_id: label_studio.id_of(task_id) for task_id in known} == known


def test_the_other_of_two_predictions_stays_when_the_known_one_was_deleted(
    context, state, journal, label_studio
):
    top_up(context, state)
    known = journal.queue(state)[0]
    label_studio.store_late(known.task_id)
    label_studio.store_late(known.task_id)
    label_studio.delete_prediction(known.prediction_id)
    assert not publishing.compare(context, state)
    assert journal.queue(state)[0].prediction_id == label_studio.id_of(known.task_id)


def test_recalled_queue_is_what_label_studio_holds_and_nothing_is_published_twice(
    context, state, journal, label_studio
):
    # The journal went back to when it knew the first two of eight, of which one was deleted since,
    # and one that is not in the ranking.
    top_up(context, state)
    journal.tasks.put(KEY, [mirrored_task(POOL)])
    label_studio.create_prediction(POOL, model_version=state.model_version, score=0.9)
    for task in journal.queue(state)[2:]:
        journal.note_gone(state, task.task_id)
        journal.tasks.put(KEY, [mirrored_task(task.task_id)])
    label_studio.delete_prediction(label_studio.id_of(38))
    publishing.recall(context, state)
    queue = journal.queue(state)
    assert [task.task_id for task in queue] == [39, 38, 37, 36, 35, 34, 33, 32, POOL]
    assert [task.rank for task in queue] == [0, 1, 2, 3, 4, 5, 6, 7, POOL]
    assert [task.task_id for task in journal.awaiting(state)] == [38]
    label(journal, 39, 37, 36, 35, at=None)
    top_up(context, state)
    published = label_studio.published()
    assert len(published) == len(set(published))
    assert 38 in published


def test_publishing_goes_on_when_every_fifth_answer_is_lost(
    context, state, journal, label_studio, monkeypatch
):
    monkeypatch.setattr(publishing, "STORED_AFTER_S", 0.0)
    journal.update_project(KEY, users=20)
    store = label_studio.create_prediction

    def lose_some(task_id, **fields):
        prediction_id = store(task_id, **fields)
        if len(label_studio.predictions) % 5 == 0:
            raise LabelStudioUnreachableError("no answer")
        return prediction_id

    label_studio.create_prediction = lose_some
    assert not supply.top_up(context, state)
    published = label_studio.published()
    assert len(published) == len(set(published)) == 24
    assert journal.awaiting(state) == []


def test_publishing_ends_when_label_studio_stores_nothing_any_more(
    context, state, label_studio, monkeypatch
):
    monkeypatch.setattr(publishing, "STORED_AFTER_S", 0.0)
    asked = []

    def refuse(task_id, **_fields):
        asked.append(task_id)
        raise LabelStudioUnreachableError("no answer")

    label_studio.create_prediction = refuse
    with pytest.raises(LabelStudioUnreachableError):
        supply.top_up(context, state)
    assert asked == [39, 39]


def test_requests_go_side_by_side_when_they_get_slow_one_after_the_other(
    context, state, journal, label_studio, monkeypatch
):
    monkeypatch.setattr(publishing, "SLOW_REQUEST_S", 0.05)
    journal.update_project(KEY, users=20)
    store, those = label_studio.create_prediction, threading.Barrier(8)

    def slowly(task_id, **fields):
        if 37 >= task_id > 37 - 8:
            those.wait(timeout=60)
        return store(task_id, **fields)

    label_studio.create_prediction = slowly
    top_up(context, state)
    assert sorted(label_studio.published()) == list(range(16, 40))


def test_queue_lasts_no_round_when_each_request_takes_long(context, journal, label_studio):
    # Ten requests of 2 s each, 0.6 labels a second, twice that: 24 labels, and 8 tasks besides.
    journal.open_round(round_state(4, seconds={"select": 5.0}, finished_at=1.0))
    for task_id in range(6):
        label(journal, task_id, at=500.0 - task_id)
    label_studio.request_s = 2.0
    assert not supply.lasts_a_round(context, 31)
    assert supply.lasts_a_round(context, 32)
    assert supply.wanted_ahead(context, round_state(4)) == 24 + supply.holders(context)


def test_new_queue_serves_whoever_asks_when_as_much_is_left_as_is_asked_for_at_once(
    context, state, journal, label_studio
):
    for person in range(3):
        label(journal, person, at=500.0, by=person)
    publish_first(context, state)
    assert supply.serves_whoever_asks(context, state)
    # Ten of its first tasks were labeled meanwhile by the queue before.
    label(journal, *range(30, 40), at=500.0)
    assert not supply.serves_whoever_asks(context, state)
    # And then all that it lacks: nothing is left to wait for.
    label(journal, *set(range(30)).difference(label_studio.published()), at=500.0)
    assert supply.serves_whoever_asks(context, state)
