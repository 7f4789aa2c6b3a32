"""What the pages' forms and queries must hold; see backend.web.schemas."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from backend.label_studio.tab import MAX_SELECTED
from backend.web.schemas import Schema


class Shown(Schema):
    """where the shown part of the batch starts."""

    start: Annotated[int, Field(ge=0, lt=2**31)] = 0


class OwnSettings(Schema):
    """the project's own settings, each empty for that of the environment."""

    budget: str = ""
    strategy: str = ""
    audit: str = ""
    preselect: str = ""


class Selected(Schema):
    """ids of some tasks of the project, with commas between, 900 at most."""

    task_ids: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1)]

    @field_validator("task_ids", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str) or not re.fullmatch(r"\d{1,19}(,\d{1,19})*", value):
            raise ValueError("numbers with commas between")
        found = value.split(",")
        if len(found) > MAX_SELECTED:
            raise ValueError(f"{len(found)} tasks, the limit is {MAX_SELECTED}")
        return [int(one) for one in found]
