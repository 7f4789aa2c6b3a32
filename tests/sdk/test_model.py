"""The LabelStudioMLBase subclass and the installed SDK's own calls of it.

test_current_sdk.py runs the same with the other SDK.
"""

from __future__ import annotations

import pytest

from backend.errors import AlfaMixError
from backend.sdk.model import AlfaMixModel, project_of


class Recorder:
    """Services that keep what they were asked."""

    def __init__(self) -> None:
        self.fits: list[tuple[str, str]] = []

    def version(self, project: str) -> str:
        return f"version of {project}"

    def predictions(self, project: str, tasks: list[dict]) -> list[dict]:
        return [{"project": project, "id": task["id"]} for task in tasks]

    def fit(self, project: str, event: str) -> dict[str, str]:
        self.fits.append((project, event))
        return {}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def model_class(recorder: Recorder) -> type[AlfaMixModel]:
    return AlfaMixModel.bound_to(recorder)


def test_fit_takes_event_and_data_by_position(model_class, recorder):
    model_class("7").fit("ANNOTATION_CREATED", {"project": {"id": 7}}, job_id="1")
    assert recorder.fits == [("7", "ANNOTATION_CREATED")]


def test_fit_is_what_the_sdk_calls_when_an_event_is_processed(model_class, recorder):
    data = {"project": {"id": 7, "created_at": "2023-11-14T22:13:20Z"}}
    model_class().process_event("ANNOTATION_CREATED", data, "job", {"workdir": "/nowhere"})
    assert recorder.fits == [("7.1700000000", "ANNOTATION_CREATED")]


def test_predict_knows_the_project_by_its_tasks_when_none_was_given(model_class):
    assert model_class().predict([{"id": 1, "project": 5}]) == [{"project": "5", "id": 1}]


def test_model_version_is_the_projects(model_class):
    assert model_class(project_id="7.1").model_version == "version of 7.1"


@pytest.mark.parametrize("project", ["3.abc", "3.", "3/../4", "²", ""])
def test_project_of_raises_when_the_name_is_none_of_label_studios(project):
    with pytest.raises(AlfaMixError, match="found no project"):
        project_of({"project": project})


def test_project_of_raises_and_lists_the_fields_when_no_project_is_named():
    with pytest.raises(AlfaMixError, match=r"its fields: \['action'\]"):
        project_of({"action": "PROJECT_UPDATED"})


@pytest.mark.parametrize("created_at", ["yesterday", "2023-11-14T25:00:00Z", "9" * 5000])
def test_project_of_raises_when_the_moment_is_none(created_at):
    with pytest.raises(AlfaMixError, match="needed is an ISO 8601 moment"):
        project_of({"project": {"id": 7, "created_at": created_at}})
