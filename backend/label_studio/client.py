"""Requests to one Label Studio, with its SDK: paging, retries and token refresh are the SDK's.

Every method raises LabelStudioUnreachableError, LabelStudioUnauthorizedError or LabelStudioError;
no message carries a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from label_studio_sdk import LabelStudio
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.request_options import RequestOptions

from backend.errors import (
    LabelStudioError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.label_studio.wording import shown_uri, token_refused

Answer = TypeVar("Answer")
PAGE_TASKS = 500
UNCERTAINTY_SAMPLING = "Uncertainty sampling"
# Label Studio applies the list to annotations too: without the last four they are bare ids.
TASK_FIELDS = (
    "id,data,is_labeled,updated_at,annotations,cancelled_annotations,"
    "result,was_cancelled,created_at,completed_by"
)
# Label Studio reads no other form of a moment in a filter.
MOMENT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Project:
    """What the backend reads of a project."""

    id: int
    key: str
    title: str
    label_config: str
    sampling: str
    model_version: str
    task_count: int
    labeled_count: int
    skipped_count: int
    organization_id: int | None


@dataclass(frozen=True)
class TaskPage:
    """Some tasks as the API's dicts, and how many there are in all."""

    tasks: list[dict[str, Any]]
    total: int


@dataclass(frozen=True)
class MlBackend:
    """One ML backend row of a project's Model page."""

    id: int
    url: str


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
    """Label Studio's API, as far as the backend needs it."""

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 60.0, retries: int = 2):
        """Talk to the Label Studio at `url` with a legacy or personal access token.

        LabelStudioUnauthorizedError: no token, or a personal access token that has expired.
        """
        if not api_key:
            raise LabelStudioUnauthorizedError(
                f"no token for {shown_uri(url)}: set LABEL_STUDIO_API_KEY to a personal access "
                "token (Label Studio > Account & Settings) or a legacy token"
            )
        self.url = url
        self._where = f"Label Studio at {shown_uri(url)}"
        self._options = RequestOptions(max_retries=retries)
        self._sdk = self._call(
            lambda: LabelStudio(base_url=url, api_key=api_key, timeout=timeout_s)
        )

    def authorization(self) -> dict[str, str]:
        """The header that Label Studio needs now; a personal access token is refreshed."""
        headers = self._call(self._sdk._client_wrapper.get_headers)
        return {"Authorization": headers["Authorization"]}

    def check(self) -> None:
        """Ask Label Studio whether it accepts the token: raise where it does not, or is silent."""
        self._call(lambda: self._sdk.users.whoami(request_options=self._options))

    # Projects

    def project(self, project_id: int) -> Project | None:
        """A project, or None where there is none with this id (or none that the token may see)."""
        found = self._found(
            lambda: self._sdk.projects.get(project_id, request_options=self._options)
        )
        if found is None:
            return None
        return Project(
            id=project_id,
            key=project_key(project_id, self._creation_time(found.created_at)),
            title=found.title or "",
            label_config=found.label_config or "",
            sampling=_plain(found.sampling),
            model_version=found.model_version or "",
            task_count=found.task_number or 0,
            labeled_count=found.finished_task_number or 0,
            skipped_count=found.skipped_annotations_number or 0,
            organization_id=found.organization,
        )

    def update_project(self, project_id: int, **values: Any) -> None:
        """Set fields of a project."""
        self._call(
            lambda: self._sdk.projects.update(project_id, request_options=self._options, **values)
        )

    def user_count(self, organization_id: int) -> int:
        """How many users an organization has: whoever may open a project's tasks."""
        path = f"api/organizations/{organization_id}/memberships"
        return int(self._get(path, {"page_size": 1})["count"])

    def prediction_versions(self, project_id: int) -> list[str]:
        """The version strings that a project's stored predictions carry."""
        path = f"api/projects/{project_id}/model-versions"
        return [str(version) for version in self._get(path)]

    def ml_backends(self, project_id: int) -> list[MlBackend]:
        """The ML backends that are connected to a project."""
        rows = self._call(
            lambda: self._sdk.ml.list(project=project_id, request_options=self._options)
        )
        return [MlBackend(row.id, row.url) for row in rows]

    # Webhooks

    def webhooks(self, project_id: int) -> list[Webhook]:
        """The webhooks of a project."""
        rows = self._call(
            lambda: self._sdk.webhooks.list(project=str(project_id), request_options=self._options)
        )
        return [
            Webhook(
                row.id,
                row.url,
                dict(row.headers or {}),
                bool(row.is_active and row.send_for_all_actions and not row.send_payload),
            )
            for row in rows
            if row.project == project_id
        ]

    def create_webhook(self, project_id: int, url: str, headers: dict[str, str]) -> int:
        """The id of a new webhook, which sends the names of all actions."""
        return self._call(
            lambda: self._sdk.webhooks.create(
                project=project_id,
                url=url,
                headers=headers,
                is_active=True,
                send_payload=False,
                send_for_all_actions=True,
                request_options=self._options,
            )
        ).id

    def update_webhook(self, webhook_id: int, url: str, headers: dict[str, str]) -> None:
        """Make a webhook send the names of all actions to `url`."""
        self._call(
            lambda: self._sdk.webhooks.update(
                webhook_id,
                url=url,
                headers=headers,
                is_active=True,
                send_payload=False,
                send_for_all_actions=True,
                request_options=self._options,
            )
        )

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook; one that is gone already is no error."""
        self._found(lambda: self._sdk.webhooks.delete(webhook_id, request_options=self._options))

    # Tasks and predictions

    def tasks(self, project_id: int) -> Iterator[dict[str, Any]]:
        """Every task of a project with its annotations, as the API's dicts, page by page."""
        yield from self._task_pages({"project": project_id}, TASK_FIELDS)

    def task_page(self, project_id: int, page: int, page_size: int) -> TaskPage:
        """One page of a project's tasks by id, counted from 1; empty past the last one."""
        found = self._task_page({"project": project_id}, TASK_FIELDS, page, page_size)
        return found or TaskPage([], 0)

    def task_ids(self, project_id: int) -> list[int]:
        """The ids of all tasks of a project."""
        return [int(task["id"]) for task in self._task_pages({"project": project_id}, "id")]

    def changed_tasks(
        self, project_id: int, since: datetime, at_most: int
    ) -> list[dict[str, Any]] | None:
        """The tasks that came, changed, or were annotated or skipped after a moment.

        None where they are more than `at_most`: then all tasks are read sooner than these.
        """
        item = {
            "filter": "filter:tasks:updated_at",
            "operator": "greater",
            "type": "Datetime",
            "value": since.astimezone(UTC).strftime(MOMENT_FORMAT),
        }
        query = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        parameters = {"project": project_id, "query": query}
        first = self._task_page(parameters, TASK_FIELDS, page=1, page_size=PAGE_TASKS)
        if first is None or first.total <= len(first.tasks):
            return [] if first is None else first.tasks
        if first.total > at_most:
            return None
        return list(self._task_pages(parameters, TASK_FIELDS))

    def newest_change(self, project_id: int) -> str | None:
        """When a task of a project last changed, by Label Studio's clock; None without tasks."""
        query = json.dumps({"ordering": ["-tasks:updated_at"]})
        parameters = {"project": project_id, "query": query}
        found = self._task_page(parameters, "id,updated_at", page=1, page_size=1)
        return str(found.tasks[0]["updated_at"]) if found and found.tasks else None

    def selected_tasks(
        self, project_id: int, task_ids: Sequence[int], include: str = TASK_FIELDS
    ) -> Iterator[dict[str, Any]]:
        """Those of the named tasks that still exist, a page of requests for PAGE_TASKS tasks."""
        for start in range(0, len(task_ids), PAGE_TASKS):
            part = [int(task_id) for task_id in task_ids[start : start + PAGE_TASKS]]
            query = json.dumps({"selectedItems": {"all": False, "included": part}})
            yield from self._task_pages({"project": project_id, "query": query}, include)

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
        made = self._found(
            lambda: self._sdk.predictions.create(
                task=task_id,
                result=result,
                score=score,
                cluster=cluster,
                model_version=model_version,
                request_options=RequestOptions(max_retries=0),
            ),
            gone=f'Invalid pk "{task_id}"',
        )
        return None if made is None else made.id

    # Tabs of the Data Manager

    def tabs(self, project_id: int) -> dict[int, str]:
        """The titles of a project's tabs by their ids."""
        found = self._get("api/dm/views/", {"project": project_id})
        return {int(tab["id"]): str((tab.get("data") or {}).get("title")) for tab in found}

    def create_tab(self, project_id: int, data: dict[str, Any]) -> int:
        """The id of a new tab; `data` as the Data Manager keeps it: title, filters, ordering."""
        body = {"project": project_id, "data": data}
        return int(self._call(self._requesting("POST", "api/dm/views/", json=body))["id"])

    def delete_tab(self, tab_id: int) -> None:
        """Delete a tab; one that is gone already is no error."""
        self._found(self._requesting("DELETE", f"api/dm/views/{tab_id}/"))

    # Inner workings

    def _task_pages(self, parameters: dict[str, Any], include: str) -> Iterator[dict[str, Any]]:
        page, total = 1, 1
        while (page - 1) * PAGE_TASKS < total:
            found = self._task_page(parameters, include, page, PAGE_TASKS)
            if found is None:  # tasks were deleted meanwhile
                return
            yield from found.tasks
            page, total = page + 1, found.total

    def _task_page(
        self, parameters: dict[str, Any], include: str, page: int, page_size: int
    ) -> TaskPage | None:
        """A page of tasks; None past the last one."""
        # The SDK's own pager builds a model object per annotation: ten times the time of the page.
        place = {"page": page, "page_size": page_size}
        wanted = {"fields": "all", "include": include, "resolve_uri": "false"}
        answer = self._found(
            self._requesting("GET", "api/tasks", {**parameters, **place, **wanted})
        )
        return None if answer is None else TaskPage(answer["tasks"], int(answer["total"]))

    def _get(self, path: str, parameters: dict[str, Any] | None = None) -> Any:
        """The JSON that a path answers."""
        return self._call(self._requesting("GET", path, parameters))

    def _requesting(
        self,
        method: str,
        path: str,
        parameters: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
    ) -> Callable[[], Any]:
        """A request to be made: its answer's JSON, {} where there is none."""
        http = self._sdk._client_wrapper.httpx_client

        def request() -> Any:
            answer = http.request(
                path, method=method, params=parameters, json=json, request_options=self._options
            )
            if answer.status_code >= 400:
                raise ApiError(status_code=answer.status_code, body=answer.text)
            return answer.json() if answer.content else {}

        return request

    def _found(self, request: Callable[[], Answer], *, gone: str | None = None) -> Answer | None:
        """The answer, None for a 404 and for an error whose body holds `gone`."""
        try:
            return self._answered(request)
        except ApiError as error:
            if error.status_code == 404 or (gone is not None and gone in str(error.body)):
                return None
            raise self._named(error) from error

    def _call(self, request: Callable[[], Answer]) -> Answer:
        """The answer; every error under a name of ours."""
        try:
            return self._answered(request)
        except ApiError as error:
            raise self._named(error) from error

    def _answered(self, request: Callable[[], Answer]) -> Answer:
        try:
            return request()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise LabelStudioUnreachableError(
                f"{self._where} does not answer ({type(error).__name__}: {error})"
            ) from error

    def _named(self, error: ApiError) -> LabelStudioError:
        status, detail = error.status_code, _detail(error.body)
        if status == 401:
            return token_refused(self.url)
        if status == 403:
            return LabelStudioUnauthorizedError(
                f"{self._where} refuses this user's request (403): {detail}"
            )
        if status in (502, 503, 504):
            return LabelStudioUnreachableError(f"{self._where} answers {status}")
        return LabelStudioError(f"{self._where} answers {status}: {detail}")

    def _creation_time(self, found: datetime | None) -> datetime:
        if found is None:
            raise LabelStudioError(f"{self._where} names no creation time of a project; needed")
        return found


def project_key(project_id: int, created_at: datetime) -> str:
    """Label Studio's own name of a project towards ML backends: "id.createdEpoch"."""
    return f"{project_id}.{int(created_at.timestamp())}"


def _detail(body: Any) -> str:
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return str(body)[:300]


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value) or "")
