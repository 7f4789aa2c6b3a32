"""Puts right what Label Studio leaves wrong when a project is connected, and when it is no more.

On connection Label Studio leaves the sampling as it was, sets the project's model version to the
backend's title, which no prediction carries, and creates a webhook; that is not moved when the URL
is edited, and never carries the Basic-auth header. It carries the whole project instead, serialized
within the annotator's Submit, which that makes a fifth slower; ours names the project in a header.

Label Studio takes no webhook for a host without a dot ("Enter a valid URL"): a backend connected as
http://backend:9090 has none, and learns what happens every ALFAMIX_POLL_S seconds.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from urllib.parse import urlsplit

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
    """What a repair found or made; `changed` names what it put right.

    webhook_id: None where Label Studio takes no webhook for the backend's URL.
    """

    webhook_id: int | None
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
) -> tuple[int | None, str | None]:
    url = backend.url.rstrip("/") + WEBHOOK_PATH
    headers = _basic_auth(settings) | {PROJECT_HEADER: project.key}
    own = _own_webhooks(client.webhooks(project.id), url, known_id)
    if not takes_webhook(backend.url):
        return None, _remove(client, own)
    if not own:
        return client.create_webhook(project.id, url, headers), "webhook created"
    found, *twins = own
    # A twin was made although nobody learned of it.
    removed = _remove(client, twins)
    if found.url != url or found.headers != headers or not found.is_lean:
        client.update_webhook(found.id, url, headers)
        return found.id, "webhook repaired"
    return found.id, removed


def takes_webhook(url: str) -> bool:
    """Whether Label Studio takes webhooks to this URL: its host has a dot, or is localhost."""
    host = urlsplit(url).hostname or ""
    return host == "localhost" or "." in host


def _remove(client: LabelStudioClient, webhooks: list[Webhook]) -> str | None:
    """Delete those that lead where the backend was before, or are too many."""
    for webhook in webhooks:
        client.delete_webhook(webhook.id)
    return "webhook removed" if webhooks else None


def _own_webhooks(webhooks: list[Webhook], url: str, known_id: int | None) -> list[Webhook]:
    """Those that lead here, then the one that did."""
    by_url = [webhook for webhook in webhooks if webhook.url == url]
    return by_url + [one for one in webhooks if one.id == known_id and one.url != url]


def _basic_auth(settings: Settings) -> dict[str, str]:
    if not settings.basic_auth_user:
        return {}
    pair = f"{settings.basic_auth_user}:{settings.basic_auth_pass}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
