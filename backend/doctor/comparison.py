"""Two networks on a project's own labels: whose embeddings tell the classes better.

Legend: L labeled images, D embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from tqdm import tqdm

from backend.doctor.findings import Finding, fail, note, ok
from backend.doctor.machine import hub_trouble
from backend.errors import AlfaMixError, WeightsError
from backend.evaluation import Estimate, paired_difference
from backend.label_studio.annotations import read_task
from backend.label_studio.client import LabelStudioClient
from backend.label_studio.images import ImageFetcher
from backend.label_studio.label_config import parse_label_config
from backend.label_studio.labeled import LabeledImage, labeled_images, once_each
from backend.process.startup import open_session
from backend.settings import Settings
from backend.vision import ADAM
from backend.vision.heads import AUTO, HeldOutAnswers, held_out_answers

TOPIC = "networks"
MOST_IMAGES = 200
LEAST_CLASSES = 2
LEAST_A_CLASS = 2  # one to learn from when the other is left out
RIVALS = (
    "--compare takes another network's timm name (docs/backbones.md), or bundled; "
    "--compare-weights FILE its weights, where the hub is out of reach"
)


@dataclass(frozen=True, eq=False)
class _Embedded:
    """What one network makes of the images. unreadable: reason by image key of the others.

    version: names the network.
    rows: (D,) float32 by image key.
    """

    version: str
    rows: dict[str, np.ndarray]
    unreadable: dict[str, str]


def compare_networks(
    settings: Settings,
    rival: Settings,
    client: LabelStudioClient,
    fetcher: ImageFetcher,
    project_id: int,
) -> Finding:
    """Which network's head is more often right on labels left out, and how sure that is.

    At most 200 labeled images, in equal parts of all classes as far as these go, embedded by both
    networks as they were pre-trained.

    rival: the settings with the other network's name and weights.
    """
    topic = f"project {project_id}: {TOPIC}"
    try:
        images = spread(_read(client, project_id), settings.seed)
        lacking = too_few(images)
        if lacking:
            return note(topic, lacking, "label more, then ask again")
        own = _embedded(settings, images, fetcher)
    except AlfaMixError as error:
        return fail(topic, str(error))
    try:
        other = _embedded(rival, images, fetcher)
    except AlfaMixError as error:
        return fail(topic, str(error), RIVALS)
    if own.version == other.version:
        return note(topic, f"both are {own.version}", RIVALS)
    return _told(topic, own, other, images, settings, rival)


def spread(images: Sequence[LabeledImage], seed: int) -> list[LabeledImage]:
    """At most 200 of the images, by task id: of each class in turn two at random, while it has any.

    Two, since a label can be left out only where its class has another.
    """
    generator = np.random.default_rng(seed)
    seen: Counter[int] = Counter()
    turns = []
    for row in generator.permutation(len(images)):
        label = images[row].label
        turns.append((seen[label] // LEAST_A_CLASS, row))
        seen[label] += 1
    order = {label: place for place, label in enumerate(seen)}
    turns.sort(key=lambda turn: (turn[0], order[images[turn[1]].label]))
    return [images[row] for row in sorted(row for _, row in turns[:MOST_IMAGES])]


def too_few(images: Sequence[LabeledImage]) -> str:
    """What is lacking for a comparison; "" where nothing is."""
    counts = Counter(image.label for image in images)
    enough = sum(count >= LEAST_A_CLASS for count in counts.values())
    if enough >= LEAST_CLASSES:
        return ""
    return (
        f"{len(images)} labeled images of {len(counts)} classes can be used, and {enough} of these "
        f"classes have {LEAST_A_CLASS} or more; needed are {LEAST_CLASSES} such classes"
    )


def _read(client: LabelStudioClient, project_id: int) -> list[LabeledImage]:
    """The project's labeled images; none of a project that cannot be seen."""
    project = client.project(project_id)
    if project is None:
        return []
    config = parse_label_config(project.label_config)
    tasks = (read_task(task, config) for task in client.tasks(project_id))
    return once_each(labeled_images(tasks))


def _told(
    topic: str,
    own: _Embedded,
    other: _Embedded,
    images: Sequence[LabeledImage],
    settings: Settings,
    rival: Settings,
) -> Finding:
    """The finding on the images that both could read."""
    readable = [image for image in images if image.key in own.rows and image.key in other.rows]
    lost = _lost(images, own.unreadable | other.unreadable)
    lacking = too_few(readable)
    if lacking:
        return note(topic, lacking + lost, "see the lines about images")
    labels = np.array([image.label for image in readable], dtype=np.int64)
    answers = [_answers(one, readable, labels, settings) for one in (own, other)]
    asked = labels[answers[0].rows]
    right = [answer.predicted == asked for answer in answers]
    shares = " and ".join(
        f"{100 * found.mean():.1f} % by {one.version} ({answer.kind})"
        for one, answer, found in zip((own, other), answers, right, strict=True)
    )
    difference = paired_difference(*right)
    text = (
        f"of {len(asked)} labels of {len(np.unique(asked))} classes, "
        f"{_how([answer.kind for answer in answers])}, {shares} are told right: "
        f"{_in_points(difference)}{lost}"
    )
    if difference.low > 0:
        return note(topic, text, f"the other network does better here: {_names(rival)}")
    return ok(topic, text)


def _embedded(
    settings: Settings, images: Sequence[LabeledImage], fetcher: ImageFetcher
) -> _Embedded:
    """What the pre-trained network of the settings makes of the images.

    WeightsError, SettingsError: it cannot be had. LabelStudioError: the images cannot.
    """
    trouble = hub_trouble(settings)
    if trouble:
        raise WeightsError(trouble)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    session = open_session(replace(settings, finetune="head"))
    network = session.pretrained()
    sources = {image.key: image for image in images}
    with tqdm(total=len(images), unit=" images", desc=network.version, disable=None) as bar:

        def load(key: str) -> bytes:
            bar.update()
            return fetcher.fetch(sources[key].uri, sources[key].task_id)

        found = session.embed_now(network, list(sources), load)
    rows = dict(zip(found.image_keys, found.embeddings, strict=True))
    return _Embedded(network.version, rows, found.unreadable)


def _answers(
    embedded: _Embedded, images: Sequence[LabeledImage], labels: np.ndarray, settings: Settings
) -> HeldOutAnswers:
    """What the configured head says; of one that is fitted by steps, what `auto` chooses."""
    rows = np.stack([embedded.rows[image.key] for image in images])
    kind = AUTO if settings.head == ADAM else settings.head
    return held_out_answers(rows, labels, kind, np.random.default_rng(settings.seed))


def _how(kinds: Sequence[str]) -> str:
    if "logistic" not in kinds:
        return "each left out once"
    if set(kinds) == {"logistic"}:
        return "left out in five folds"
    return "each left out once (logistic: in five folds)"


def _in_points(difference: Estimate) -> str:
    numbers = [100 * number for number in (difference.value, difference.low, difference.high)]
    text = "{:+.1f} points, 95 % interval {:+.1f} to {:+.1f}".format(*numbers)
    if difference.low <= 0 <= difference.high:
        return f"{text}, so these labels do not tell which is better"
    return text


def _lost(images: Sequence[LabeledImage], unreadable: dict[str, str]) -> str:
    first = next((image for image in images if image.key in unreadable), None)
    if first is None:
        return ""
    return (
        f"; {len(unreadable)} images cannot be read, the first of task {first.task_id}: "
        f"{unreadable[first.key]}"
    )


def _names(rival: Settings) -> str:
    """The settings that take the other network."""
    named = {
        "ALFAMIX_BACKBONE": rival.backbone,
        "ALFAMIX_BACKBONE_WEIGHTS": rival.backbone_weights,
        "ALFAMIX_IMAGE_PX": rival.image_px,
    }
    return " ".join(f"{name}={value}" for name, value in named.items() if value is not None)
