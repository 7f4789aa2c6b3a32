"""A backtest of a project in a real Label Studio, which looks the same after it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.harness.api import Api
from tests.backtest.conftest import LABEL_CONFIG, annotation
from tests.vision.tiny import encoded_image

COUNT = 104


def labeled_task_with_image(number: int) -> dict[str, Any]:
    """A task with its image in it, imported with its annotation."""
    is_dark = number % 2 == 0
    content = base64.b64encode(encoded_image(number, brightness=60 if is_dark else 190))
    data = {"picture": "data:image/png;base64," + content.decode()}
    (region,) = annotation("dark" if is_dark else "bright")["result"]
    return {"data": data, "annotations": [{"result": [region | {"to_name": "i"}]}]}


def everything(api: Api, project_id: int) -> dict[str, Any]:
    """What the project is and holds."""
    project = api.call("GET", f"/api/projects/{project_id}/")
    query = {"project": project_id, "page_size": 200, "fields": "all", "resolve_uri": "false"}
    return {
        "project": project,
        "tasks": api.call("GET", "/api/tasks", params=query)["tasks"],
        "predictions": api.call("GET", "/api/predictions/", params={"project": project_id}),
        "webhooks": api.call("GET", "/api/webhooks/", params={"project": project_id}),
        "backends": api.call("GET", "/api/ml", params={"project": project_id}),
    }


@pytest.mark.label_studio
def test_backtest_changes_nothing_in_label_studio(
    label_studio: Any,
    tiny_backend: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project_id = label_studio.create_project(LABEL_CONFIG, title="lamps")
    tasks = [labeled_task_with_image(number) for number in range(COUNT)]
    broken = labeled_task_with_image(0) | {"data": {"picture": "/data/upload/1/nowhere.png"}}
    path = f"/api/projects/{project_id}/import"
    label_studio.api.call("POST", path, json=[*tasks, broken])
    before = everything(label_studio.api, project_id)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)

    status = main(
        [
            *("backtest", "--project", str(project_id), "--out", str(tmp_path / "out")),
            *("--without", "unclear", "--seeds", "2", "--strategies", "alfa-mix"),
        ]
    )

    shown = capsys.readouterr().out
    assert status == 0
    assert f"Backtest of project {project_id} (lamps): {COUNT} labels of 2 classes" in shown
    assert "their images cannot be read: 1\n" in shown
    assert "alfa-mix: " in shown
    assert (tmp_path / "out" / "learning-curves.png").exists()
    assert everything(label_studio.api, project_id) == before
    assert not tiny_backend.exists()
