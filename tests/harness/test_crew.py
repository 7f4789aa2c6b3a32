"""How several people work at once, against an imitation of Label Studio."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from backend.errors import LabelStudioError
from backend.harness.person import Habits
from tests.harness.conftest import MakeCrew, wait_until


def test_every_task_is_labeled_once_when_three_work_at_once(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(people=3, task_ids=range(30))

    crew.start(labels=30)
    events = crew.wait(timeout_s=60)

    assert Counter(map(len, imitation.labels.values())) == {1: 30}
    submitted = [event.task_id for event in events if event.action == "submit"]
    assert sorted(submitted) == list(range(30))
    assert {event.person for event in events} == {"person 1", "person 2", "person 3"}


def test_nobody_asks_while_another_does(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(people=4, task_ids=range(60))

    crew.start(labels=60)
    crew.wait(timeout_s=60)

    assert imitation.most_asking == 1


def test_labels_are_as_many_as_asked_for_and_everybody_holds_a_task(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(people=3, task_ids=range(40))

    crew.start(labels=10)
    events = crew.wait(timeout_s=60)

    assert sum(event.action == "submit" for event in events) == 10
    assert len(imitation.labels) == 10
    assert sorted(imitation.holder.values()) == ["a", "b", "c"]
    assert not set(imitation.holder) & set(imitation.labels)


def test_people_go_on_with_the_task_they_left_when_the_crew_starts_again(
    make_crew: MakeCrew,
) -> None:
    crew, imitation = make_crew(people=2, task_ids=range(20))
    crew.start(labels=6)
    seen = len(crew.wait(timeout_s=60))
    held = set(imitation.holder)

    crew.start(labels=6)
    events = crew.wait(timeout_s=60)[seen:]

    for person in crew.people:
        first = next(event for event in events if event.person == person.name)
        assert first.action == "open"
        assert first.task_id in held
    assert len(imitation.labels) == 12


def test_stop_does_not_wait_for_the_pauses(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(people=2, habits=Habits(pause_s=1000.0), task_ids=range(5))
    crew.start()
    wait_until(lambda: len(crew.events) == 2)

    since = time.monotonic()
    events = crew.stop()

    assert time.monotonic() - since < 30
    assert [event.action for event in events] == ["open", "open"]


def test_others_work_on_when_one_person_leaves(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(people=2, task_ids=range(30))
    crew.start(labels=29)
    crew.people[0].leave()
    crew.wait(timeout_s=60)

    assert len(imitation.labels) == 29
    (left,) = set(range(30)) - set(imitation.labels)
    assert imitation.holder[left] in "ab"


def test_error_of_one_sends_all_home_and_is_raised(make_crew: MakeCrew) -> None:
    habits = Habits(pause_s=0.0, press_again_s=1000.0)
    crew, _ = make_crew(people=2, habits=habits, task_ids=[5], refused=[5])

    crew.start()
    with pytest.raises(LabelStudioError, match="task 5 is refused"):
        crew.wait(timeout_s=60)

    assert all(person.is_gone(0) for person in crew.people)
    with pytest.raises(LabelStudioError, match="task 5 is refused"):
        crew.check()


def test_wait_tells_how_far_they_came_when_it_takes_too_long(make_crew: MakeCrew) -> None:
    crew, _ = make_crew(people=2, task_ids=[5, 6, 7])
    crew.start(labels=4)
    wait_until(lambda: sum(event.is_turned_away for event in crew.events) >= 2)

    with pytest.raises(TimeoutError, match=r"3 labels by 2 people, [1-9]\d* times turned away"):
        crew.wait(timeout_s=0.1)


def test_people_go_home_when_the_context_ends(make_crew: MakeCrew) -> None:
    crew, imitation = make_crew(people=2, task_ids=range(1000))

    with pytest.raises(KeyboardInterrupt), crew:
        crew.start()
        wait_until(lambda: imitation.labels)
        raise KeyboardInterrupt

    assert all(person.is_gone(0) for person in crew.people)


def test_people_draw_pauses_of_their_own_and_the_same_when_the_seed_is(make_crew: MakeCrew) -> None:
    first, second = (make_crew(people=2, seed=4, task_ids=[])[0] for _ in range(2))

    def pauses(crew):
        return [person._rng.random() for person in crew.people]

    drawn = pauses(first)
    assert drawn == pauses(second)
    assert drawn[0] != drawn[1]
