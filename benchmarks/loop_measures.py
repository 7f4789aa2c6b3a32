"""The measurements of `benchmarks.loop`: each adds its rows to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from time import sleep, time
from typing import Any, TypeVar

import torch

from backend.errors import DemoError
from backend.harness.dataset import Dataset
from backend.loop.background import HEAD_ONLY
from backend.process.startup import open_session
from backend.settings import Settings
from benchmarks.embedding_speed import measure_embedding
from benchmarks.loop_stage import SETTLED_S, LabelingProject, Stage
from benchmarks.timing import Goal, Report, percentile, seconds_of
from model_store import phases

Sample = TypeVar("Sample")

STEPS = (phases.SELECT, phases.PUBLISH, phases.FLIP)
FIRST_QUEUE_GOAL = Goal(60)
FLIP_GOAL = Goal(5)
TAKEN_OVER_GOAL = Goal(40)
# Enough for a steady rate; all pixels are in memory while it is measured.
SPEED_IMAGES = 960
# Trainings that are asked for until there are enough samples.
MOST_TRAININGS = 12
SUBMIT_GOAL = Goal(1.1)


def embedding_speed(report: Report, images: Dataset, settings: Mapping[str, str]) -> None:
    """Images per second from file to embedding, beside the bare network's on the same batches."""
    report.say("\nEmbedding, images read from files")
    parsed = Settings.from_environ(settings)
    if parsed.threads is not None:
        torch.set_num_threads(parsed.threads)
    keys = list(islice(images.pool, SPEED_IMAGES))
    speed = measure_embedding(
        open_session(parsed), keys, lambda path: (images.root / path).read_bytes()
    )
    report.add("embedding", speed.images_s, "images/s")
    report.add("the bare network", speed.network_images_s, "images/s")
    share = 100 * speed.images_s / speed.network_images_s
    report.add("embedding, share of the bare network's", share, "%", Goal(80, is_upper=False))


def steps(report: Report, stage: Stage, name: str) -> None:
    """Seconds of each step: to the first queue, and from a batch's last label to the next queue."""
    pasted_at = stage.connect()
    first = stage.published(0)["last_round"]
    round_rows(report, f"{name}, first queue", "URL pasted", pasted_at, first, FIRST_QUEUE_GOAL)
    whole = stage.settled()
    embedded_s = time() - pasted_at - SETTLED_S
    report.add(f"{name}: URL pasted until the queue follows all images", embedded_s, "s")
    labeled_at = stage.label_batch(whole["batch"])
    second = stage.published_with(len(whole["batch"]))["last_round"]
    what = f"{name}, {second['labels']} labels"
    round_rows(report, what, "last label sent", labeled_at, second, FLIP_GOAL)
    if name != HEAD_ONLY:
        tuned = stage.network_taken_over()["last_round"]
        after_s = tuned["finished_at"] - second["finished_at"]
        report.add(f"{what}: flip until tuned embeddings are used", after_s, "s", TAKEN_OVER_GOAL)


def round_rows(
    report: Report,
    what: str,
    since: str,
    since_s: float,
    done: Mapping[str, Any],
    goal: Goal | None = None,
) -> None:
    """Rows of a round's steps, and from a moment (seconds since the epoch) until its flip."""
    noticed = f"{what}: {since} until the round starts (event, reading what changed)"
    report.add(noticed, done["started_at"] - since_s, "s")
    for step in STEPS:
        report.add(f"{what}: {step}", done["seconds"][step], "s")
    flipped_s = done["finished_at"] - since_s
    report.add(f"{what}: {since} until the queue is flipped", flipped_s, "s", goal)


@dataclass(frozen=True)
class Question:
    """A request that Label Studio sends to a backend, and the goal of its answer in ms."""

    method: str
    path: str
    body: dict[str, Any] | None
    goal: Goal


def answers(report: Report, stage: Stage, name: str, wanted: int) -> None:
    """p50 and p95 of the backend's answers while a round trains."""
    questions = _questions(stage)

    def ask() -> dict[str, float]:
        return {
            question.path: 1000 * seconds_of(_asking(stage, question)) for question in questions
        }

    ask()
    found = list(islice(while_training(stage, ask), wanted))
    report.add(f"{name}, while training: answers of each kind", len(found), "samples")
    for question in questions:
        what = f"{name}, while training: {question.method} {question.path}"
        times_ms = [sample[question.path] for sample in found]
        report.add(f"{what}, p50", percentile(times_ms, 50), "ms")
        report.add(f"{what}, p95", percentile(times_ms, 95), "ms", question.goal)


def _questions(stage: Stage) -> list[Question]:
    """As Label Studio 1.23 asks them."""
    key, fields = stage.key(), stage.labeling.fields()
    known = stage.labeling.task(stage.status()["batch"][0])
    labeled = stage.labeling.labeled_task()
    setup = {
        "project": key,
        "schema": fields["label_config"],
        "hostname": stage.labeling.site.server.url,
        "access_token": stage.labeling.site.server.token,
        "extra_params": None,
    }
    event = {"action": "ANNOTATION_CREATED", "project": fields, "task": labeled}
    event["annotation"] = labeled["annotations"][0]
    predict = {"tasks": [known], "project": key, "label_config": fields["label_config"]}
    predict["params"] = {"login": None, "password": None, "context": None}
    return [
        Question("GET", "/health", None, Goal(50)),
        Question("POST", "/setup", setup, Goal(50)),
        Question("POST", "/webhook", event, Goal(50)),
        Question("POST", "/predict", predict, Goal(100)),
    ]


def _asking(stage: Stage, question: Question) -> Callable[[], object]:
    def ask() -> None:
        reply = stage.client.request(question.method, question.path, json=question.body)
        reply.raise_for_status()

    return ask


def while_training(stage: Stage, take: Callable[[], Sample]) -> Iterator[Sample]:
    """Samples that began and ended while a network was trained or the pool was embedded with it."""
    for _ in range(MOST_TRAININGS):
        stage.start_training()
        while stage.is_training():
            sample = take()
            if stage.is_training():
                yield sample
        stage.settled()


class Submitter:
    """Submits one open task of a project after the other."""

    def __init__(self, labeling: LabelingProject) -> None:
        self._labeling = labeling
        self._tasks = iter(labeling.open_tasks())

    def submit(self) -> float:
        """Seconds that one Submit takes; DemoError: every task is labeled."""
        task = next(self._tasks, None)
        if task is None:
            raise DemoError("too few images for so many Submits: give more --images or --submits 9")
        return seconds_of(lambda: self._labeling.submit(task))


@dataclass(frozen=True)
class SubmitTimes:
    """Medians in seconds of a Submit in the connected project and in the one without a backend."""

    with_backend_s: float
    without_s: float

    @classmethod
    def of(cls, pairs: list[tuple[float, float]]) -> SubmitTimes:
        """Those of (with, without) pairs."""
        return cls(*(percentile(times_s, 50) for times_s in zip(*pairs, strict=True)))


def submits(
    report: Report, stage: Stage, bare: Submitter, name: str, count: int, pause_s: float
) -> None:
    """Medians of a Submit with the backend and without, by turns, at rest and while training.

    `pause_s` seconds lie between two Submits, in which the backend looks at the last one: one right
    after the other would mostly wait for the requests that the last one led to.
    """
    connected = Submitter(stage.labeling)
    is_first = cycle((True, False))

    def pair() -> tuple[float, float]:
        submitters = (connected, bare) if next(is_first) else (bare, connected)
        taken = {}
        for submitter in submitters:
            sleep(pause_s)
            taken[submitter] = submitter.submit()
        return taken[connected], taken[bare]

    pair()
    stage.settled()
    at_rest = [pair() for _ in range(count)]
    report.add(f"{name}, at rest: Submits of each kind", len(at_rest), "samples")
    idle = SubmitTimes.of(at_rest)
    _submit_rows(report, f"{name}, at rest: Submit", idle)
    if name == HEAD_ONLY:
        return
    training = list(islice(while_training(stage, pair), count))
    report.add(f"{name}, while training: Submits of each kind", len(training), "samples")
    what = f"{name}, while training: Submit"
    busy = SubmitTimes.of(training)
    _submit_rows(report, what, busy)
    # Where both share a machine, training takes processor time from every Submit.
    ratio = busy.with_backend_s / idle.without_s
    report.add(f"{what}, with a backend / without one at rest", ratio, "x", SUBMIT_GOAL)


def _submit_rows(report: Report, what: str, times: SubmitTimes) -> None:
    report.add(f"{what} with a backend, median", 1000 * times.with_backend_s, "ms")
    report.add(f"{what} in a project without one, median", 1000 * times.without_s, "ms")
    ratio = times.with_backend_s / times.without_s
    report.add(f"{what}, with a backend / without one", ratio, "x", SUBMIT_GOAL)
