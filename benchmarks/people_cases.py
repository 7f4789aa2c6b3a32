"""What happens to people at the queue in `benchmarks.people`, case by case."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backend.harness import project
from backend.harness.crew import Crew
from backend.harness.person import Habits
from backend.harness.proxy import Failure, Proxy, every
from benchmarks.loop_stage import Stage

PEOPLE = 3
SLOW_S = 2.0
FAILS_EVERY = 5
OVERLAP_2 = {"maximum_annotations": 2}
OVERLAP_2_FIRST = {**OVERLAP_2, "overlap_cohort_percentage": 20, "show_overlap_first": True}


@dataclass(frozen=True)
class Scene:
    """Who works on what for how long; way: between the backend and Label Studio, where proxied."""

    crew: Crew
    stage: Stage
    way: Proxy
    seconds: float


@dataclass(frozen=True)
class Case:
    """One thing that people do, or that happens to them, while others label on.

    work: lets the crew label for the scene's seconds.
    settings, project: what differs from the other cases.
    habits: of one person each. is_proxied: whether the backend's requests go by the scene's way.
    """

    name: str
    work: Callable[[Scene], None]
    habits: Sequence[Habits]
    settings: Mapping[str, str] = field(default_factory=dict)
    project: Mapping[str, object] = field(default_factory=dict)
    is_proxied: bool = False


def cases(pause_s: float) -> list[Case]:
    """All cases."""
    usual = Habits(pause_s)
    three = (usual,) * PEOPLE
    one_skips = (replace(usual, skip_share=1.0), usual, usual)
    one_postpones = (replace(usual, postpone_share=1.0), usual, usual)
    return [
        Case("walk-off", walk_off, three),
        Case("end of day for all", end_of_day, three),
        Case("long fine-tuning (full)", work_on, three, {"ALFAMIX_FINETUNE": "full"}),
        Case("blocks:2", work_on, three, {"ALFAMIX_FINETUNE": "blocks:2"}),
        Case("overlap 2", work_on, three, project=OVERLAP_2),
        Case("overlap 2 for a fifth, shown first", work_on, three, project=OVERLAP_2_FIRST),
        Case("one skips everything", work_on, one_skips),
        *(
            Case(
                f"one skips everything, {option}",
                work_on,
                one_skips,
                project={"skip_queue": option},
            )
            for option in ("REQUEUE_FOR_ME", "IGNORE_SKIPPED")
        ),
        Case("one puts everything off", work_on, one_postpones),
        Case("50 people at once", come_at_once, (usual,) * 50),
        Case("a class is added", add_a_class, three),
        Case("tasks ahead are deleted", delete_ahead, three),
        Case("backend restarted", restart_backend, three),
        Case("Label Studio restarted", restart_label_studio, three),
        Case("Label Studio gets slow: 2 s a request", be_slow, three, is_proxied=True),
        Case("every fifth prediction unanswered", lose_answers, three, is_proxied=True),
    ]


def work_on(scene: Scene) -> None:
    """All label."""
    scene.crew.start()
    time.sleep(scene.seconds)


def walk_off(scene: Scene) -> None:
    """One opens a task and goes home, the others go on."""
    scene.crew.start()
    time.sleep(1.0)
    scene.crew.people[0].leave()
    time.sleep(scene.seconds)


def end_of_day(scene: Scene) -> None:
    """All go home, each with a task open, and come back."""
    scene.crew.start()
    time.sleep(scene.seconds / 2)
    for person in scene.crew.people:
        person.leave()
    time.sleep(scene.seconds / 10)
    for person in scene.crew.people:
        person.come()
    time.sleep(scene.seconds / 2)


def come_at_once(scene: Scene) -> None:
    """Everybody opens a task before anybody labels one."""
    for person in scene.crew.people:
        person.press()
    work_on(scene)


def add_a_class(scene: Scene) -> None:
    """The label config gets another class in the middle of the work."""
    labeling = scene.stage.labeling
    classes = (*labeling.site.images.classes, "another class")
    _in_the_middle(scene, lambda: labeling.change({"label_config": project.label_config(classes)}))


def delete_ahead(scene: Scene) -> None:
    """Half of the tasks that wait are deleted in the middle: those that nobody has open yet."""
    labeling = scene.stage.labeling

    def delete() -> None:
        reserve = scene.stage.status()["reserve"]
        for task_id in reserve[len(reserve) // 2 :]:
            labeling.site.api.call("DELETE", f"/api/tasks/{task_id}/")

    _in_the_middle(scene, delete)


def restart_backend(scene: Scene) -> None:
    """The backend ends and is started again in the middle of the work."""
    _in_the_middle(scene, scene.stage.restart)


def restart_label_studio(scene: Scene) -> None:
    """Label Studio ends and is started again in the middle of the work."""
    _in_the_middle(scene, scene.stage.labeling.site.server.restart)


def be_slow(scene: Scene) -> None:
    """All label, and from some moment on each request of the backend takes long."""
    scene.crew.start()
    time.sleep(scene.seconds / 6)
    scene.way.delay_s = SLOW_S
    time.sleep(scene.seconds * 5 / 6)


def lose_answers(scene: Scene) -> None:
    """All label while predictions are stored, and the backend does not learn of some."""
    scene.way.fails = every(FAILS_EVERY, "/api/predictions/", Failure.LOST)
    work_on(scene)


def _in_the_middle(scene: Scene, happens: Callable[[], object]) -> None:
    scene.crew.start()
    time.sleep(scene.seconds / 2)
    happens()
    time.sleep(scene.seconds / 2)
