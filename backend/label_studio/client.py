"""Requests to one Label Studio, with its SDK: paging, retries and token refresh are the SDK's.

Every method raises LabelStudioUnreachableError, LabelStudioUnauthorizedError or LabelStudioError;
no message carries a token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
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

Answer = TypeVar("Answer")
PAGE_TASKS = 500
UNCERTAINTY_SAMPLING = "Uncertainty sampling"
# Label Studio applies the list to annotations too: without the last three they are bare ids.
TASK_FIELDS = "id,data,is_labeled,annotations,cancelled_annotations,result,was_cancelled,created_at"


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
    annotation_count: int
    skipped_count: int

    @property
    def counters(self) -> str:
        """A text that changes when tasks come, go, or are annotated or skipped."""
        counts = (self.task_count, self.labeled_count, self.annotation_count, self.skipped_count)
        return "/".join(map(str, counts))


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
                f"no token for {url}: set LABEL_STUDIO_API_KEY to a personal access token "
                "(Label Studio > Account & Settings) or a legacy token"
            )
        self.url = url
        self._options = RequestOptions(max_retries=retries)
        self._sdk = self._call(
            lambda: LabelStudio(base_url=url, api_key=api_key, timeout=timeout_s)
        )

    def authorization(self) -> dict[str, str]:
        """The header that Label Studio needs now; a personal access token is refreshed."""
        headers = self._call(self._sdk._client_wrapper.get_headers)
        return {"Authorization": headers["Authorization"]}

    def check(self) -> None:
        """Return where Label Studio answers and accepts the token; raise where not."""
        self._call(lambda: self._sdk.users.whoami(request_options=self._options))

    # Projects

    def project(self, project_id: int) -> Project | None:
        """A project, or None where there is none with this id (or none that the token may see)."""
        found = self._call(
            lambda: self._sdk.projects.get(project_id, request_options=self._options),
            missing=None,
        )
        if found is None:
            return None
        return Project(
            id=found.id,
            key=project_key(found.id, found.created_at),
            title=found.title or "",
            label_config=found.label_config or "",
            sampling=_plain(found.sampling),
            model_version=found.model_version or "",
            task_count=found.task_number or 0,
            labeled_count=found.finished_task_number or 0,
            annotation_count=found.total_annotations_number or 0,
            skipped_count=found.skipped_annotations_number or 0,
        )

    def update_project(self, project_id: int, **values: Any) -> None:
        """Set fields of a project."""
        self._call(
            lambda: self._sdk.projects.update(project_id, request_options=self._options, **values)
        )

    def prediction_versions(self, project_id: int) -> list[str]:
        """The version strings that a project's stored predictions carry."""
        path = f"api/projects/{project_id}/model-versions"
        return [str(version) for version in self._get(path).json()]

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
        """Create a webhook that sends the names of all actions; its id."""
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
        self._call(
            lambda: self._sdk.webhooks.delete(webhook_id, request_options=self._options),
            missing=None,
        )

    # Tasks and predictions

    def tasks(self, project_id: int) -> Iterator[dict[str, Any]]:
        """Every task of a project with its annotations, as the API's dicts, page by page."""
        yield from self._task_pages({"project": project_id}, TASK_FIELDS)

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
        """Store one prediction; its id, or None where the task is gone. Never retried here."""
        made = self._call(
            lambda: self._sdk.predictions.create(
                task=task_id,
                result=result,
                score=score,
                cluster=cluster,
                model_version=model_version,
                request_options=RequestOptions(max_retries=0),
            ),
            missing=None,
            gone=f'Invalid pk "{task_id}"',
        )
        return None if made is None else made.id

    # Inner workings

    def _task_pages(self, parameters: dict[str, Any], include: str) -> Iterator[dict[str, Any]]:
        # The SDK's own pager builds a model object per annotation: ten times the time of the page.
        page, total = 1, 1
        while (page - 1) * PAGE_TASKS < total:
            answer = self._get(
                "api/tasks",
                {
                    **parameters,
                    "page": page,
                    "page_size": PAGE_TASKS,
                    "fields": "all",
                    "include": include,
                    "resolve_uri": "false",
                },
            ).json()
            total = int(answer["total"])
            yield from answer["tasks"]
            page += 1

    def _get(self, path: str, parameters: dict[str, Any] | None = None) -> httpx.Response:
        http = self._sdk._client_wrapper.httpx_client

        def request() -> httpx.Response:
            answer = http.request(
                path, method="GET", params=parameters, request_options=self._options
            )
            if answer.status_code >= 400:
                raise ApiError(status_code=answer.status_code, body=answer.text)
            return answer

        return self._call(request)

    def _call(
        self, request: Callable[[], Answer], *, missing: Any = ..., gone: str | None = None
    ) -> Answer | Any:
        try:
            return request()
        except ApiError as error:
            is_missing = error.status_code == 404 or (gone is not None and gone in str(error.body))
            if missing is not ... and is_missing:
                return missing
            raise self._named(error) from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise LabelStudioUnreachableError(
                f"Label Studio at {self.url} does not answer ({type(error).__name__}: {error})"
            ) from error

    def _named(self, error: ApiError) -> LabelStudioError:
        where = f"Label Studio at {self.url}"
        if error.status_code == 401:
            return LabelStudioUnauthorizedError(
                f"{where} does not accept the token (401); LABEL_STUDIO_API_KEY needs a personal "
                "access token, or a legacy token where the organization allows those"
            )
        if error.status_code == 403:
            return LabelStudioUnauthorizedError(
                f"{where} refuses this user's request (403): {_detail(error.body)}"
            )
        if error.status_code in (502, 503, 504):
            return LabelStudioUnreachableError(f"{where} answers {error.status_code}")
        return LabelStudioError(f"{where} answers {error.status_code}: {_detail(error.body)}")


def project_key(project_id: int, created_at: datetime) -> str:
    """Label Studio's own name of a project towards ML backends: "id.createdEpoch"."""
    return f"{project_id}.{int(created_at.timestamp())}"


def _detail(body: Any) -> str:
    if isinstance(body, dict):
        body = body.get("validation_errors") or body.get("detail") or body
    return str(body)[:300]


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value) or "")
