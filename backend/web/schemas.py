"""What requests must hold; /openapi.json describes the same.

A schema's docstring goes on after "needed is" in the sentence that refuses what does not suit it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, StrictInt

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
# Ids are 64 bit in Label Studio's database.
Id = Annotated[StrictInt, Field(ge=1, lt=2**63)]
ProjectKey = Annotated[str, Field(pattern=r"^[0-9]{1,18}\.[0-9]{1,12}$")]
ProjectName = Annotated[str, Field(pattern=r"^[0-9]{1,18}(\.[0-9]{1,12})?$")]
Moment = Annotated[AwareDatetime, Strict(), Field(ge=EPOCH)]
Address = Annotated[str, Field(max_length=2048)]


class Schema(BaseModel):
    """A JSON object; fields that are not named are ignored."""

    model_config = ConfigDict(frozen=True)


class Setup(Schema):
    """Label Studio's /setup, where "project" is its id.createdEpoch."""

    project: ProjectKey
    label_config: str | None = Field(None, alias="schema")
    hostname: Address | None = None
    access_token: Address | None = None


class Task(Schema):
    """a task with its id and data."""

    id: Annotated[StrictInt, Field(gt=-(2**63), lt=2**63)]
    data: dict[str, Any]


class Predict(Schema):
    """Label Studio's /predict with its tasks and the project, an id or id.createdEpoch."""

    project: ProjectName
    tasks: list[Task]
    label_config: str | None = None
    params: dict[str, Any] | None = None


class Project(Schema):
    """a project as Label Studio's payloads hold it."""

    id: Id
    created_at: Moment | None = None


class Webhook(Schema):
    """Label Studio's webhook with its action, and the project here or in a header."""

    action: str
    project: ProjectName | Id | Project | None = None


class Train(Schema):
    """Label Studio's /train with the project."""

    project: ProjectName | Id | Project


class Job(Schema):
    """the id of a job, as /webhook and /train answered it."""

    job: str


class Asked(Schema):
    """the name of a project, or none for all."""

    project: ProjectName | None = None
