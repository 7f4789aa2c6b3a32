"""A project without Label Studio: dark and bright images, labeled, and a tiny ViT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.errors import ImageError
from tests.vision.tiny import encoded_image, new_tiny_vit, save_with_card

LABEL_CONFIG = """<View><Image name="i" value="$picture"/>
<Choices name="c" toName="i"><Choice value="dark"/><Choice value="bright"/>
<Choice value="unclear"/></Choices></View>"""
PROJECT_ID = 7


def annotation(choice: str, **fields: Any) -> dict[str, Any]:
    """An annotation as the API gives it."""
    result = {"from_name": "c", "type": "choices", "value": {"choices": [choice]}}
    return {"result": [result], "was_cancelled": False, "created_at": "1"} | fields


def labeled_task(task_id: int, choice: str, uri: str | None = None) -> dict[str, Any]:
    """A task that one annotator labeled; its image is dark for even ids, bright for odd ones."""
    data = {"picture": uri or f"image-{task_id}"}
    return {"id": task_id, "data": data, "annotations": [annotation(choice)]}


def labeled_tasks(count: int) -> list[dict[str, Any]]:
    """Tasks 0 to `count` with their true labels."""
    return [labeled_task(number, ("dark", "bright")[number % 2]) for number in range(count)]


class ReadOnlyClient:
    """What a backtest may ask Label Studio for; anything else is an AttributeError."""

    def __init__(self, tasks: list[Mapping[str, Any]]) -> None:
        self.url = "http://label-studio"
        self._tasks = tasks

    def authorization(self) -> dict[str, str]:
        return {}

    def project(self, project_id: int) -> SimpleNamespace | None:
        if project_id != PROJECT_ID:
            return None
        return SimpleNamespace(id=PROJECT_ID, title="lamps", label_config=LABEL_CONFIG)

    def tasks(self, project_id: int) -> list[Mapping[str, Any]]:
        return self._tasks


class Fetcher:
    """Images by URI: image-<number>, dark or bright; anything else cannot be read."""

    def __init__(self, *_arguments: Any) -> None:
        self.fetched: list[str] = []

    def fetch(self, uri: str, task_id: int) -> bytes:
        self.fetched.append(uri)
        kind, _, number = uri.partition("-")
        if kind != "image":
            raise ImageError(f"404 for {uri}")
        return encoded_image(int(number), brightness=60 if int(number) % 2 == 0 else 190)

    def close(self) -> None:
        pass


@pytest.fixture
def tiny_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a backend with a tiny ViT; its MODEL_DIR, which does not exist."""
    weights = save_with_card(new_tiny_vit(), tmp_path / "tiny.safetensors")
    model_dir = tmp_path / "model_dir"
    environ = {
        "LABEL_STUDIO_URL": "http://label-studio",
        "LABEL_STUDIO_API_KEY": "token",
        "MODEL_DIR": str(model_dir),
        "ALFAMIX_BACKBONE_WEIGHTS": str(weights),
        "ALFAMIX_FEATURE_BLOCKS": "3",
        "ALFAMIX_FINETUNE": "head",
        "ALFAMIX_HEAD_LR": "0.01",
        "ALFAMIX_EPOCHS": "10",
        "ALFAMIX_DEVICE": "cpu",
        "ALFAMIX_THREADS": "1",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return model_dir
