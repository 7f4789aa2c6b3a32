"""The differences between the two SDKs that share the name label-studio-ml, in one place.

PyPI's 1.0.9 starts one process per webhook event; the 2.x of HumanSignal's repository makes a model
per request, calls `fit` inside the webhook's request, and keeps what models `set` in a database.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

CACHE_FOLDER = "MODEL_DIR"


@contextmanager
def _cache_elsewhere() -> Iterator[None]:
    """Let 2.x, which makes its database when it is imported, make it where nobody looks."""
    before = os.environ.get(CACHE_FOLDER)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[CACHE_FOLDER]
            if before is not None:
                os.environ[CACHE_FOLDER] = before


with _cache_elsewhere():
    from label_studio_ml.model import LabelStudioMLBase

IS_2X = "project_id" in signature(LabelStudioMLBase.__init__).parameters

__all__ = ["IS_2X", "LabelStudioMLBase", "event_of", "initialize_base"]


def initialize_base(
    model: LabelStudioMLBase, project_id: str | None, label_config: str | None
) -> None:
    """Call the base class's constructor with the arguments that this SDK's takes."""
    if IS_2X:
        LabelStudioMLBase.__init__(model, project_id=project_id, label_config=label_config)
    else:
        LabelStudioMLBase.__init__(model, label_config=label_config)


def event_of(arguments: tuple, keywords: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Event name and payload of a `fit` call: 2.x `fit(event, data)`, 1.x `fit((), event=...)`."""
    positional = [value for value in arguments if isinstance(value, (str, Mapping))]
    event = keywords.get("event") or (positional[0] if positional else "")
    data = keywords.get("data") or (positional[1] if len(positional) > 1 else {})
    return str(event), data if isinstance(data, Mapping) else {}
