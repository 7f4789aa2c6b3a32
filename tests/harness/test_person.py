"""How one person works, against an imitation of Label Studio."""

from __future__ import annotations

import random
import statistics

import pytest

from backend.harness import api
from backend.harness.person import Habits
from backend.harness.shift import Event
from tests.harness.conftest import MakeCrew, wait_until


def requests(events: tuple[Event, ...]) -> list[tuple[str, int | None]]:
    """What was asked for, and the task."""
    return [(event.action, event.task_id) for event in events]


def test_press_notes_what_was_served_when_the_queue_has_a_task(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(task_ids=[5, 6])
    (person,) = crew.people

    task = person.press()

    (event,) = crew.events
    assert task is not None
    assert task["id"] == 5
    assert not event.is_turned_away
    assert event.took_s > 0
    expected = Event("person 1", "open", event.at_s, event.took_s, 5, "v1", 0.0)
    assert event == expected


def test_press_notes_no_version_when_the_task_has_no_prediction(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(task_ids=[5], version=None)

    crew.people[0].press()

    (event,) = crew.events
    assert (event.task_id, event.model_version, event.score) == (5, None, None)


def test_press_notes_that_nothing_was_served_when_another_holds_the_last_task(
    make_crew: MakeCrew,
) -> None:
    crew, _ = make_crew(people=2, task_ids=[5])
    first, second = crew.people
    first.press()

    assert second.press() is None
    assert [event.is_turned_away for event in crew.events] == [False, True]
    assert crew.events[1].person == "person 2"


def test_submit_opens_and_locks_the_next_task_at_once(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(task_ids=[5, 6])
    (person,) = crew.people
    task = person.press()
    assert task is not None

    following = person.submit(task)

    assert following is person.open_task
    assert imitation.holder == {6: "a"}
    assert requests(crew.events) == [("open", 5), ("submit", 5), ("open", 6)]
    assert [event.score for event in crew.events] == [0.0, 0.0, 0.1]


def test_skip_leaves_the_task_to_others(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(people=2, task_ids=[5, 6])
    first, second = crew.people
    task = first.press()
    assert task is not None

    first.skip(task)
    second.press()

    assert requests(crew.events) == [("open", 5), ("skip", 5), ("open", 6), ("open", 5)]


def test_work_goes_from_submit_to_the_next_task_until_none_is_left(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(task_ids=[5, 6])
    (person,) = crew.people

    person.come()
    wait_until(lambda: sum(event.is_turned_away for event in crew.events) >= 3)
    person.leave()

    expected = [("open", 5), ("submit", 5), ("open", 6), ("submit", 6)] + 3 * [("open", None)]
    assert requests(crew.events)[:7] == expected


def test_work_waits_before_it_presses_again_when_turned_away(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(habits=Habits(0.0, press_again_s=0.2), task_ids=[])
    (person,) = crew.people

    person.come()
    wait_until(lambda: len(crew.events) == 3)
    person.leave()

    first, second, third = (event.at_s - event.took_s for event in crew.events)
    assert second - first > 0.19
    assert third - second > 0.19


def test_work_goes_on_when_a_task_comes_after_nothing_was_left(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(task_ids=[])
    (person,) = crew.people

    person.come()
    wait_until(lambda: crew.events)
    imitation.task_ids = [8]
    wait_until(lambda: 8 in imitation.labels)
    person.leave()


def test_task_stays_locked_when_its_person_leaves_and_is_theirs_when_they_come_back(
    make_crew: MakeCrew,
) -> None:
    crew, imitation = make_crew(habits=Habits(pause_s=1000.0), task_ids=[5, 6])
    (person,) = crew.people

    person.come()
    wait_until(lambda: crew.events)
    person.leave()
    assert imitation.holder == {5: "a"}
    assert person.is_gone(0)
    person.come()
    wait_until(lambda: len(crew.events) == 2)
    person.leave()

    assert requests(crew.events) == [("open", 5), ("open", 5)]
    assert imitation.labels == {}


def test_nobody_comes_twice_when_told_to_while_at_work(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(habits=Habits(pause_s=1000.0), task_ids=[5])
    (person,) = crew.people

    person.come()
    wait_until(lambda: crew.events)
    person.come()
    person.leave()

    assert len(crew.events) == 1


def test_everything_is_skipped_when_the_share_is_one(make_crew: MakeCrew) -> None:
    habits = Habits(0.0, press_again_s=0.01, skip_share=1.0)
    crew, imitation = make_crew(habits=habits, task_ids=[5, 6])
    (person,) = crew.people

    person.come()
    wait_until(lambda: any(event.is_turned_away for event in crew.events))
    person.leave()

    assert imitation.labels == {5: [("a", True)], 6: [("a", True)]}


def test_everything_is_put_off_when_the_share_is_one(make_crew: MakeCrew) -> None:
    habits = Habits(0.0, press_again_s=0.01, postpone_share=1.0)
    crew, imitation = make_crew(habits=habits, task_ids=[5, 6])
    (person,) = crew.people

    person.come()
    wait_until(lambda: any(event.is_turned_away for event in crew.events))
    person.leave()

    assert imitation.postponed == {5: "a", 6: "a"}
    assert imitation.labels == {}
    assert [event.action for event in crew.events][:4] == ["open", "postpone"] * 2


def test_work_goes_on_when_label_studio_did_not_answer_for_a_while(
    make_crew: MakeCrew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "PAUSE_S", 0.0)
    # A press asks so often; a Submit is sent as often, and each time asks whether it arrived.
    pressed, submitted = api.ATTEMPTS, api.ATTEMPTS * (1 + api.ATTEMPTS)
    silent = {"/api/projects/7/next": pressed, "/api/tasks/5/annotations": submitted}
    crew, imitation = make_crew(task_ids=[5, 6], silent=silent)
    (person,) = crew.people

    person.come()
    wait_until(lambda: 6 in imitation.labels)
    person.leave()

    assert imitation.labels == {5: [("a", False)], 6: [("a", False)]}
    expected = [("fail", None), ("open", 5), ("fail", 5), ("submit", 5), ("open", 6)]
    assert requests(crew.events)[:5] == expected
    assert not any(event.is_turned_away for event in crew.events[:5])


def test_pauses_are_the_same_when_the_seed_is() -> None:
    habits = Habits(pause_s=2.0)
    rngs = [random.Random(3), random.Random(3)]

    first, second = ([habits.drawn_pause_s(rng) for _ in range(5)] for rng in rngs)

    assert first == second
    assert len(set(first)) == 5


@pytest.mark.parametrize("pause_s", [0.0, 3.0])
def test_pauses_have_the_mean_that_is_asked_for(pause_s: float) -> None:
    habits, rng = Habits(pause_s), random.Random(0)

    pauses = [habits.drawn_pause_s(rng) for _ in range(20_000)]

    # The mean of 20,000 pauses of a deviation of half their mean is as exact as 0.4 %.
    assert statistics.mean(pauses) == pytest.approx(pause_s, rel=0.02)
    assert statistics.pstdev(pauses) == pytest.approx(pause_s / 2, rel=0.05)
