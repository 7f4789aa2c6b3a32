"""Label Studio's API, as far as the backend needs it.

Every method raises LabelStudioUnreachableError, LabelStudioUnauthorizedError or LabelStudioError;
no message carries a token.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

from backend.label_studio import answers
from backend.label_studio.transport import Guard, Transport

Found = TypeVar("Found")
PAGE_TASKS = 500
UNCERTAINTY_SAMPLING = "Uncertainty sampling"
# Label Studio applies the list to annotations too: without the last four they are bare ids.
TASK_FIELDS = (
    "id,data,is_labeled,updated_at,annotations,cancelled_annotations,"
    "result,was_cancelled,created_at,completed_by"
)
PREDICTION_FIELDS = "id,predictions"
# Label Studio reads no other form of a moment in a filter.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
# What a webhook of ours does: see Webhook.
LEAN = {"is_active": True, "send_payload": False, "send_for_all_actions": True}

PROJECT = TypeAdapter(answers.ProjectRow)
VERSION = TypeAdapter(answers.VersionRow)
USER = TypeAdapter(answers.UserRow)
OPTIONS = TypeAdapter(answers.OptionsRow)
ML_BACKENDS = TypeAdapter(list[answers.MlBackendRow])
WEBHOOKS = TypeAdapter(list[answers.WebhookRow])
MADE = TypeAdapter(answers.Made)
COUNTED = TypeAdapter(answers.Counted)
# How many predictions carry each.
VERSIONS = TypeAdapter(dict[str, int])
TABS = TypeAdapter(list[answers.TabRow])
# Pages of tasks.
TASKS = TypeAdapter(answers.Page[answers.Task])
TASK_IDS = TypeAdapter(answers.Page[answers.TaskId])
TASK_CHANGES = TypeAdapter(answers.Page[answers.TaskChange])
PREDICTED_TASKS = TypeAdapter(answers.Page[answers.PredictedTask])


@dataclass(frozen=True)
class Project:
    """What the backend reads of a project.

    shows_overlap_first: people are served tasks for several annotators before all others.
    """

    id: int
    key: str
    title: str
    label_config: str
    sampling: str
    model_version: str
    task_count: int
    labeled_count: int
    skipped_count: int
    annotation_count: int
    organization_id: int | None
    shows_overlap_first: bool


@dataclass(frozen=True)
class TaskPage:
    """Some tasks as the API's dicts, and how many there are in all."""

    tasks: Sequence[Mapping[str, Any]]
    total: int


@dataclass(frozen=True)
class MlBackend:
    """One ML backend row of a project's Model page.

    trouble: why Label Studio could not reach it the last time, in its words; "" where it could.
    """

    id: int
    url: str
    trouble: str = ""


@dataclass(frozen=True)
class Webhook:
    """One webhook of a project.

    is_lean: it is active, sends every action, and nothing but the action's name: for a payload
        Label Studio serializes the whole project within the annotator's own Submit.
    """

    id: int
    url: str
    headers: dict[str, str]
    is_lean: bool


class LabelStudioClient:
    """One Label Studio, as the user whom the token belongs to."""

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 60.0, retries: int = 2):
        """Talk to the Label Studio at `url` with a legacy or personal access token.

        LabelStudioUnauthorizedError: no token, or a personal access token that has expired.
        """
        self.url = url
        self._transport = Transport(url, api_key, timeout_s, retries)

    def guarded(self, guard: Guard) -> LabelStudioClient:
        """The same client, which calls `guard` before each request that may change something."""
        guarded = copy.copy(self)
        guarded._transport = self._transport.guarded(guard)
        return guarded

    @property
    def request_s(self) -> float:
        """How long a request that reads took lately, in seconds; 0 before the first one."""
        return self._transport.request_s

    def authorization(self) -> dict[str, str]:
        """The header that Label Studio needs now; a personal access token is refreshed."""
        return self._transport.authorization()

    def check(self) -> None:
        """Ask Label Studio whether it accepts the token: raise where it does not, or is silent."""
        self._transport.ask(MADE, "GET", "api/current-user/whoami")

    def version(self) -> str:
        """The release of Label Studio, such as 1.23.2."""
        return self._transport.ask(VERSION, "GET", "api/version").release

    def user_email(self) -> str:
        """The address of the user whom the token belongs to."""
        return self._transport.ask(USER, "GET", "api/current-user/whoami").email

    def refused_rights(self, project_id: int) -> list[str]:
        """What a backend does with a project and the token's user may not do; changes nothing."""
        needed = {
            "change the project": ("PUT", f"api/projects/{project_id}/"),
            "add predictions": ("POST", "api/predictions/"),
            "add webhooks": ("POST", "api/webhooks/"),
        }
        return [
            right
            for right, (method, path) in needed.items()
            if method not in self._transport.ask(OPTIONS, "OPTIONS", path).actions
        ]

    # Projects

    def project(self, project_id: int) -> Project | None:
        """A project, or None where there is none with this id (or none that the token may see)."""
        found = self._transport.find(PROJECT, "GET", f"api/projects/{project_id}/")
        if found is None:
            return None
        skipped = found.skipped_annotations_number or 0
        return Project(
            id=project_id,
            key=project_key(project_id, found.created_at),
            title=found.title or "",
            label_config=found.label_config or "",
            sampling=found.sampling or "",
            model_version=found.model_version or "",
            task_count=found.task_number or 0,
            labeled_count=found.finished_task_number or 0,
            skipped_count=skipped,
            annotation_count=(found.total_annotations_number or 0) + skipped,
            organization_id=found.organization,
            shows_overlap_first=bool(found.show_overlap_first)
            and (found.maximum_annotations or 1) > 1,
        )

    def update_project(self, project_id: int, **values: Any) -> None:
        """Set fields of a project."""
        path = f"api/projects/{project_id}/"
        self._transport.ask(answers.ANYTHING, "PATCH", path, body=values)

    def user_count(self, organization_id: int) -> int:
        """How many users an organization has: whoever may open a project's tasks."""
        path = f"api/organizations/{organization_id}/memberships"
        return self._transport.ask(COUNTED, "GET", path, {"page_size": 1}).count

    def prediction_versions(self, project_id: int) -> list[str]:
        """The version strings that a project's stored predictions carry."""
        path = f"api/projects/{project_id}/model-versions"
        counts = self._transport.ask(VERSIONS, "GET", path)
        return list(counts)

    def ml_backends(self, project_id: int) -> list[MlBackend]:
        """The ML backends that are connected to a project."""
        rows = self._transport.ask(ML_BACKENDS, "GET", "api/ml/", {"project": project_id})
        return [MlBackend(row.id, row.url, row.error_message or "") for row in rows]

    # Webhooks

    def webhooks(self, project_id: int) -> list[Webhook]:
        """The webhooks of a project."""
        rows = self._transport.ask(WEBHOOKS, "GET", "api/webhooks/", {"project": project_id})
        return [
            Webhook(
                row.id,
                row.url,
                row.headers or {},
                bool(row.is_active and row.send_for_all_actions and not row.send_payload),
            )
            for row in rows
            if row.project == project_id
        ]

    def create_webhook(self, project_id: int, url: str, headers: dict[str, str]) -> int:
        """The id of a new webhook, which sends the names of all actions. Never retried here."""
        body = {"project": project_id, "url": url, "headers": headers, **LEAN}
        return self._transport.ask(MADE, "POST", "api/webhooks/", body=body, retries=0).id

    def update_webhook(self, webhook_id: int, url: str, headers: dict[str, str]) -> None:
        """Make a webhook send the names of all actions to `url`."""
        body = {"url": url, "headers": headers, **LEAN}
        self._transport.ask(MADE, "PATCH", f"api/webhooks/{webhook_id}/", body=body)

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook; one that is gone already is no error."""
        self._transport.find(answers.ANYTHING, "DELETE", f"api/webhooks/{webhook_id}/")

    # Tasks

    def tasks(self, project_id: int) -> Iterator[Mapping[str, Any]]:
        """Every task of a project with its annotations, as the API's dicts, page by page."""
        yield from self._pages(TASKS, {"project": project_id}, TASK_FIELDS)

    def task_page(self, project_id: int, page: int, page_size: int) -> TaskPage:
        """One page of a project's tasks by id, counted from 1; empty past the last one."""
        found = self._page(TASKS, {"project": project_id}, TASK_FIELDS, page, page_size)
        return TaskPage([], 0) if found is None else TaskPage(found.tasks, found.total)

    def task_ids(self, project_id: int) -> list[int]:
        """The ids of all tasks of a project."""
        return [task["id"] for task in self._pages(TASK_IDS, {"project": project_id}, "id")]

    def drafted_task_ids(self, project_id: int, task_ids: Sequence[int]) -> list[int]:
        """Those of the named tasks of which anybody keeps a draft."""
        drafted = _filter("draft_exists", "equal", "Boolean", True)
        return [
            task["id"] for task in self._selected(TASK_IDS, project_id, task_ids, "id", drafted)
        ]

    def shared_task_ids(self, project_id: int) -> list[int]:
        """The ids of the tasks that more than one person is to annotate."""
        query = json.dumps(_filter("overlap", "greater", "Number", 1))
        found = self._pages(TASK_IDS, {"project": project_id, "query": query}, "id")
        return [task["id"] for task in found]

    def changed_tasks(
        self, project_id: int, since: datetime, at_most: int
    ) -> Sequence[Mapping[str, Any]] | None:
        """The tasks that came, changed, or were annotated or skipped after a moment.

        None where they are more than `at_most`: then all tasks are read sooner than these.
        """
        moment = since.astimezone(UTC).strftime(MOMENT_FORMAT)
        query = json.dumps(_filter("updated_at", "greater", "Datetime", moment))
        parameters = {"project": project_id, "query": query}
        first = self._page(TASKS, parameters, TASK_FIELDS, page=1, page_size=PAGE_TASKS)
        if first is None or first.total <= len(first.tasks):
            return [] if first is None else first.tasks
        if first.total > at_most:
            return None
        return list(self._pages(TASKS, parameters, TASK_FIELDS))

    def newest_change(self, project_id: int) -> str | None:
        """When a task of a project last changed, by Label Studio's clock; None without tasks."""
        query = json.dumps({"ordering": ["-tasks:updated_at"]})
        parameters = {"project": project_id, "query": query}
        found = self._page(TASK_CHANGES, parameters, "id,updated_at", page=1, page_size=1)
        return found.tasks[0]["updated_at"] if found and found.tasks else None

    def selected_tasks(
        self, project_id: int, task_ids: Sequence[int]
    ) -> Iterator[Mapping[str, Any]]:
        """Those of the named tasks that still exist, with their annotations."""
        yield from self._selected(TASKS, project_id, task_ids, TASK_FIELDS)

    # Predictions

    def selected_predictions(
        self, project_id: int, task_ids: Sequence[int]
    ) -> Iterator[answers.PredictedTask]:
        """Those of the named tasks that still exist, with their predictions."""
        yield from self._selected(PREDICTED_TASKS, project_id, task_ids, PREDICTION_FIELDS)

    def predictions_of_version(
        self, project_id: int, version: str
    ) -> Iterator[answers.PredictedTask]:
        """The tasks with a prediction whose version holds this text, with their predictions."""
        query = json.dumps(_filter("predictions_model_versions", "contains", "List", [version]))
        parameters = {"project": project_id, "query": query}
        yield from self._pages(PREDICTED_TASKS, parameters, PREDICTION_FIELDS)

    def create_prediction(
        self,
        task_id: int,
        *,
        result: list[dict[str, Any]],
        score: float,
        cluster: int,
        model_version: str,
    ) -> int | None:
        """The id of a new prediction, None where the task is gone. Never retried here."""
        body = {
            "task": task_id,
            "result": result,
            "score": score,
            "cluster": cluster,
            "model_version": model_version,
        }
        gone = f'Invalid pk "{task_id}"'
        made = self._transport.find(
            MADE, "POST", "api/predictions/", body=body, retries=0, gone=gone
        )
        return None if made is None else made.id

    def update_prediction(self, prediction_id: int, *, score: float, cluster: int) -> None:
        """Give a prediction another place in the queue; one that is gone is no error."""
        body = {"score": score, "cluster": cluster}
        path = f"api/predictions/{prediction_id}/"
        self._transport.find(answers.ANYTHING, "PATCH", path, body=body)

    def delete_prediction(self, prediction_id: int) -> None:
        """Delete a prediction; one that is gone already is no error."""
        self._transport.find(answers.ANYTHING, "DELETE", f"api/predictions/{prediction_id}/")

    # Tabs of the Data Manager

    def tabs(self, project_id: int) -> dict[int, str]:
        """The titles of a project's tabs by their ids."""
        rows = self._transport.ask(TABS, "GET", "api/dm/views/", {"project": project_id})
        return {row.id: (row.data and row.data.title) or "" for row in rows}

    def create_tab(self, project_id: int, data: dict[str, Any]) -> int:
        """The id of a new tab; `data` as the Data Manager keeps it: title, filters, ordering.

        Never retried here.
        """
        body = {"project": project_id, "data": data}
        return self._transport.ask(MADE, "POST", "api/dm/views/", body=body, retries=0).id

    def delete_tab(self, tab_id: int) -> None:
        """Delete a tab; one that is gone already is no error."""
        self._transport.find(answers.ANYTHING, "DELETE", f"api/dm/views/{tab_id}/")

    # Inner workings

    def _selected(
        self,
        shape: TypeAdapter[answers.Page[Found]],
        project_id: int,
        task_ids: Sequence[int],
        include: str,
        passing: Mapping[str, Any] | None = None,
    ) -> Iterator[Found]:
        """Those of the named tasks that still exist, in requests for PAGE_TASKS tasks.

        passing: a filter that they pass, where that is asked for.
        """
        for start in range(0, len(task_ids), PAGE_TASKS):
            part = [int(task_id) for task_id in task_ids[start : start + PAGE_TASKS]]
            selected = {"selectedItems": {"all": False, "included": part}}
            query = json.dumps({**selected, **(passing or {})})
            yield from self._pages(shape, {"project": project_id, "query": query}, include)

    def _pages(
        self, shape: TypeAdapter[answers.Page[Found]], parameters: dict[str, Any], include: str
    ) -> Iterator[Found]:
        page, total = 1, 1
        while (page - 1) * PAGE_TASKS < total:
            found = self._page(shape, parameters, include, page, PAGE_TASKS)
            if found is None:  # tasks were deleted meanwhile
                return
            yield from found.tasks
            page, total = page + 1, found.total

    def _page(
        self,
        shape: TypeAdapter[answers.Page[Found]],
        parameters: dict[str, Any],
        include: str,
        page: int,
        page_size: int,
    ) -> answers.Page[Found] | None:
        """A page of tasks; None past the last one."""
        place = {"page": page, "page_size": page_size}
        wanted = {"fields": "all", "include": include, "resolve_uri": "false"}
        return self._transport.find(shape, "GET", "api/tasks", {**parameters, **place, **wanted})


def _filter(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    """The part of a Data Manager's query that lets only some tasks pass."""
    item = {
        "filter": f"filter:tasks:{column}",
        "operator": operator,
        "type": kind,
        "value": value,
    }
    return {"filters": {"conjunction": "and", "items": [item]}}


def project_key(project_id: int, created_at: datetime) -> str:
    """Label Studio's own name of a project towards ML backends: "id.createdEpoch"."""
    return f"{project_id}.{int(created_at.timestamp())}"
