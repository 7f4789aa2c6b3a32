"""Names of backends that Label Studio takes in a webhook, and what is done without one."""

from __future__ import annotations

from typing import Any

import pytest

from backend.label_studio.client import UNCERTAINTY_SAMPLING, LabelStudioClient, MlBackend
from backend.label_studio.connection import repair
from backend.settings import Settings

pytestmark = pytest.mark.label_studio


@pytest.fixture
def client(label_studio: Any) -> LabelStudioClient:
    return LabelStudioClient(label_studio.url, label_studio.token)


def repaired(client, project_id, url, known_webhook_id=None):
    """The connection of a project to a backend at `url`, put right."""
    project = client.project(project_id)
    return repair(client, project, MlBackend(1, url), Settings(), known_webhook_id)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9090", "http://localhost:9090/a"])
def test_webhook_is_made_when_label_studio_takes_the_name(client, label_studio, url):
    project_id = label_studio.create_project("<View></View>")
    made = repaired(client, project_id, url)
    assert [(hook.id, hook.url) for hook in client.webhooks(project_id)] == [
        (made.webhook_id, f"{url}/webhook")
    ]


@pytest.mark.parametrize("host", ["backend", "ml_backend", "[::1]"])
def test_project_follows_without_webhook_when_label_studio_takes_none(client, label_studio, host):
    project_id = label_studio.create_project("<View></View>")
    made = repaired(client, project_id, f"http://{host}:9090")
    assert (made.webhook_id, made.changed) == (None, ("sampling",))
    assert client.webhooks(project_id) == []
    assert client.project(project_id).sampling == UNCERTAINTY_SAMPLING


def test_webhook_goes_when_the_backend_moves_to_a_name_that_label_studio_does_not_take(
    client, label_studio
):
    project_id = label_studio.create_project("<View></View>")
    known = repaired(client, project_id, "http://127.0.0.1:9090").webhook_id
    moved = repaired(client, project_id, "http://backend:9090", known)
    assert (moved.webhook_id, moved.changed) == (None, ("webhook removed",))
    assert client.webhooks(project_id) == []
    again = repaired(client, project_id, "http://backend:9090")
    assert again.changed == ()
