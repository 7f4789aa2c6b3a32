"""The differences between the two SDKs that share the name label-studio-ml, in one place.

PyPI's 1.0.9 keeps one current model for all projects and starts one process per webhook event;
the 2.x of HumanSignal's repository makes a model per request and calls `fit` inside the webhook's
request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import label_studio_ml.api
from flask import Flask
from label_studio_ml.model import LabelStudioMLBase

try:
    from label_studio_ml.model import LabelStudioMLManager, ModelWrapper
except ImportError:
    IS_2X = True
else:
    IS_2X = False

__all__ = ["IS_2X", "LabelStudioMLBase", "event_of", "initialize_base", "sdk_app"]


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


def sdk_app(model_class: type[LabelStudioMLBase], model_dir: str) -> Flask:
    """The SDK's own Flask app for a model class; its views may be called from another app's.

    The SDK keeps one per process, which takes no route after its first request.
    """
    if IS_2X:
        return label_studio_ml.api.init_app(model_class)
    label_studio_ml.api._manager = RecordingManager()
    return label_studio_ml.api.init_app(model_class, model_dir=model_dir)


if not IS_2X:

    class RecordingManager(LabelStudioMLManager):
        """1.x's manager, with one model per request and a webhook that only records."""

        @classmethod
        def fetch(
            cls,
            project: str | None = None,
            label_config: str | None = None,
            force_reload: bool = False,
            **_ignored: Any,
        ) -> ModelWrapper:
            """A model of the project, with the version that its queue follows."""
            model = cls.model_class(project_id=project, label_config=label_config)
            return ModelWrapper(model=model, model_version=model.model_version)

        @classmethod
        def predict(
            cls,
            tasks: list[dict],
            project: str | None = None,
            label_config: str | None = None,
            force_reload: bool = False,
            try_fetch: bool = True,
            **parameters: Any,
        ) -> tuple[list[dict], ModelWrapper]:
            """Predictions of the project's own model, whichever was set up last."""
            wrapper = cls.fetch(project, label_config)
            return wrapper.model.predict(tasks, **parameters), wrapper

        @classmethod
        def webhook(cls, event: str, data: Mapping[str, Any]) -> dict[str, Any]:
            """Record the event through the `fit` hook; the worker trains."""
            return cls.model_class().fit(event, data)
