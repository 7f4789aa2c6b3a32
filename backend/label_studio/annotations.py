"""Label Studio's task JSON to labels, and labels to its prediction JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.label_studio.label_config import ImageChoices


@dataclass(frozen=True)
class TaskState:
    """One task as a round sees it.

    `uri` is None where the task data lacks the image field; `problem` then says what was found.
    `label` is a class index, or None where nobody chose a class that the label config still has.
    """

    task_id: int
    uri: str | None
    problem: str | None
    label: int | None
    is_done: bool
    is_skipped: bool


def read_task(task: Mapping[str, Any], config: ImageChoices) -> TaskState:
    """A task of the API as a round sees it."""
    annotations = task.get("annotations") or []
    submitted = [note for note in annotations if not note.get("was_cancelled")]
    uri, problem = _image_uri(task.get("data") or {}, config.data_field)
    return TaskState(
        task_id=int(task["id"]),
        uri=uri,
        problem=problem,
        label=agreed_label(submitted, config),
        is_done=bool(submitted) or bool(task.get("is_labeled")),
        is_skipped=not submitted and len(annotations) > 0,
    )


def agreed_label(annotations: Sequence[Mapping[str, Any]], config: ImageChoices) -> int | None:
    """The class index that most annotations chose; among equals, the one chosen last."""
    chosen = [
        config.classes.index(name)
        for note in sorted(annotations, key=lambda note: str(note.get("created_at") or ""))
        if (name := _choice(note, config)) in config.classes
    ]
    if not chosen:
        return None
    votes = Counter(chosen)
    most = max(votes.values())
    return next(label for label in reversed(chosen) if votes[label] == most)


def choice_result(config: ImageChoices, class_name: str, probability: float) -> dict[str, Any]:
    """The one region of a prediction that pre-selects a class."""
    return {
        "from_name": config.from_name,
        "to_name": config.to_name,
        "type": "choices",
        "value": {"choices": [class_name]},
        "score": round(probability, 4),
    }


def _image_uri(data: Mapping[str, Any], field: str) -> tuple[str | None, str | None]:
    uri = data.get(field)
    if isinstance(uri, str) and uri.strip():
        return uri, None
    if field in data:
        # What is inside a list or an object may be an address with a password.
        is_plain = uri is None or isinstance(uri, str | int | float)
        shown = repr(uri)[:60] if is_plain else f"a {type(uri).__name__}"
        found = f"the task data's {field!r} holds {shown}"
    else:
        found = f"the task data has no {field!r}, only {sorted(data)[:10]}"
    return None, f"{found}; the label config's <Image> needs an image's address there"


def _choice(annotation: Mapping[str, Any], config: ImageChoices) -> str | None:
    found = annotation.get("result")
    for region in found if isinstance(found, list) else []:
        if isinstance(region, Mapping) and region.get("from_name") == config.from_name:
            value = region.get("value")
            choices = value.get("choices") if isinstance(value, Mapping) else None
            first = choices[0] if isinstance(choices, list) and choices else None
            return first if isinstance(first, str) else None
    return None
