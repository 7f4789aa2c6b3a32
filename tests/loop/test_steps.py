"""What a round writes into Label Studio's predictions."""

from __future__ import annotations

from backend.label_studio.label_config import ImageChoices
from backend.loop.steps import preselection
from model_store.journal import QueuedTask

CONFIG = ImageChoices("label", "image", "image", ("cat", "dog"))


def queued(class_name: str | None, probability: float | None) -> QueuedTask:
    return QueuedTask(0, 9, 0, 0.0, False, class_name, probability)


def test_preselection_is_the_class_when_the_config_has_it():
    (region,) = preselection(CONFIG, queued("dog", 0.75))
    assert (region["from_name"], region["value"]) == ("label", {"choices": ["dog"]})


def test_preselection_is_empty_when_nothing_was_trained():
    assert preselection(CONFIG, queued(None, None)) == []


def test_preselection_is_empty_when_the_config_lost_the_class_meanwhile():
    assert preselection(CONFIG, queued("bird", 0.75)) == []
