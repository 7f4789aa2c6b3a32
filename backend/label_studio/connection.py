"""Puts right what Label Studio leaves wrong when a project is connected, and when it is no more.

On connection Label Studio leaves the sampling as it was, sets the project's model version to the
backend's title, which no prediction carries, and creates a webhook unless the host has no dot; the
webhook is not moved when the URL is edited, and never carries the Basic-auth header. It carries the
whole project instead, serialized within the annotator's Submit, which that makes a fifth slower;
ours names the project in a header.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from backend.label_studio.client import (
    UNCERTAINTY_SAMPLING,
    LabelStudioClient,
    MlBackend,
    Project,
    Webhook,
)
from backend.settings import Settings

WEBHOOK_PATH = "/webhook"
PROJECT_HEADER = "X-Alfa-Mix-Project"


@dataclass(frozen=True)
class Connection:
    """What a repair found or made; `changed` names what it put right."""

    webhook_id: int
    changed: tuple[str, ...]


def repair(
    client: LabelStudioClient,
    project: Project,
    backend: MlBackend,
    settings: Settings,
    known_webhook_id: int | None,
) -> Connection:
    """What it took to make the project follow this backend: only reads where all is right."""
    webhook_id, webhook_change = _repair_webhook(
        client, project, backend, settings, known_webhook_id
    )
    is_sampling_wrong = project.sampling != UNCERTAINTY_SAMPLING
    if is_sampling_wrong:
        client.update_project(project.id, sampling=UNCERTAINTY_SAMPLING)
    changes = (webhook_change, "sampling" if is_sampling_wrong else None)
    return Connection(webhook_id, tuple(change for change in changes if change))


def release(
    client: LabelStudioClient,
    project: Project,
    previous_sampling: str | None,
    webhook_id: int | None,
) -> None:
    """Give a project back that no longer names this backend: its sampling, and no webhook."""
    if webhook_id is not None:
        client.delete_webhook(webhook_id)
    if previous_sampling and project.sampling == UNCERTAINTY_SAMPLING:
        client.update_project(project.id, sampling=previous_sampling)


def _repair_webhook(
    client: LabelStudioClient,
    project: Project,
    backend: MlBackend,
    settings: Settings,
    known_id: int | None,
) -> tuple[int, str | None]:
    url = backend.url.rstrip("/") + WEBHOOK_PATH
    headers = _basic_auth(settings) | {PROJECT_HEADER: project.key}
    found = _own_webhook(client.webhooks(project.id), url, known_id)
    if found is None:
        return client.create_webhook(project.id, url, headers), "webhook created"
    if found.url != url or found.headers != headers or not found.is_lean:
        client.update_webhook(found.id, url, headers)
        return found.id, "webhook repaired"
    return found.id, None


def _own_webhook(webhooks: list[Webhook], url: str, known_id: int | None) -> Webhook | None:
    by_url = [webhook for webhook in webhooks if webhook.url == url]
    by_id = [webhook for webhook in webhooks if webhook.id == known_id]
    return next(iter(by_url + by_id), None)


def _basic_auth(settings: Settings) -> dict[str, str]:
    if not settings.basic_auth_user:
        return {}
    pair = f"{settings.basic_auth_user}:{settings.basic_auth_pass}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
