"""The shapes of what Label Studio answers, as far as it is read.

What is not named here may be there. Tasks stay the API's dicts: there are many, and they are read
once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter
from typing_extensions import TypedDict

AnyTask = TypeVar("AnyTask")


def _is_moment(text: str) -> str:
    datetime.fromisoformat(text.replace("Z", "+00:00"))
    return text


Moment = Annotated[str, AfterValidator(_is_moment)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProjectRow(_Row):
    """A project."""

    created_at: datetime
    title: str | None = None
    label_config: str | None = None
    sampling: str | None = None
    model_version: str | None = None
    task_number: int | None = None
    finished_task_number: int | None = None
    skipped_annotations_number: int | None = None
    total_annotations_number: int | None = None
    organization: int | None = None
    show_overlap_first: bool | None = None
    maximum_annotations: int | None = None


class MlBackendRow(_Row):
    """A row of the Model page; `error_message` is why Label Studio could not reach it."""

    id: int
    url: str
    error_message: str | None = None


class VersionRow(_Row):
    """Which release of Label Studio answers."""

    release: str


class UserRow(_Row):
    """The user whom a token belongs to."""

    email: str


class OptionsRow(_Row):
    """What OPTIONS says of an address: under `actions`, the methods that write and are allowed."""

    actions: dict[str, Any] = {}


class WebhookRow(_Row):
    """A webhook."""

    id: int
    url: str
    project: int | None = None
    headers: dict[str, str] | None = None
    is_active: bool | None = None
    send_for_all_actions: bool | None = None
    send_payload: bool | None = None


class Made(_Row):
    """What was created."""

    id: int


class Counted(_Row):
    """A page of a list."""

    count: int


class TabData(_Row):
    """What a tab of the Data Manager shows."""

    title: str | None = None


class TabRow(_Row):
    """A tab of the Data Manager."""

    id: int
    data: TabData | None = None


class Annotation(TypedDict):
    """An annotation of a task, submitted or skipped. Its result is what anybody may have sent."""

    created_at: Moment
    completed_by: NotRequired[int | None]


class Task(TypedDict):
    """A task with its annotations."""

    id: int
    updated_at: Moment
    data: NotRequired[dict[str, Any] | None]
    annotations: NotRequired[list[Annotation] | None]


class Prediction(TypedDict):
    """A prediction of a task."""

    id: int
    model_version: str | None


class PredictedTask(TypedDict):
    """A task with its predictions."""

    id: int
    predictions: NotRequired[list[Prediction] | None]


class TaskId(TypedDict):
    """A task's id."""

    id: int


class TaskChange(TypedDict):
    """When a task changed last."""

    updated_at: Moment


class Page(BaseModel, Generic[AnyTask]):
    """Some tasks, and how many there are in all. What else their dicts hold, they keep."""

    model_config = ConfigDict(frozen=True, extra="allow")

    tasks: list[AnyTask]
    total: int


ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
