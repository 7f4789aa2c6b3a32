"""Which project is this backend's: Label Studio is believed, behind proxies too; nobody else is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from werkzeug.serving import make_server

from backend.harness.project import connect_backend
from backend.harness.proxy import Proxy
from backend.loop.reconcile import reconcile
from backend.process.startup import open_journal
from backend.settings import Settings
from backend.web.app import create_app
from backend.web.predictor import Predictor
from tests.loop.conftest import LABEL_CONFIG, project_of

pytestmark = pytest.mark.label_studio
UNTOUCHED = "Sequential sampling"


def rows_of(label_studio, project_id):
    return label_studio.api.call("GET", "/api/ml", params={"project": project_id})


def webhook_urls(label_studio, project_id):
    hooks = label_studio.api.call("GET", "/api/webhooks/", params={"project": project_id})
    return [hook["url"] for hook in hooks]


def add_row(label_studio, project_id, url):
    """Connect a backend as a further one."""
    fields = {"project": project_id, "title": "another", "url": url, "auth_method": "NONE"}
    return label_studio.api.call("POST", "/api/ml", json=fields)["id"]


@pytest.fixture
def proxy(inline) -> Iterator[Proxy]:
    """A way to the backend on which it is called by its own address, not by that of the row."""
    with Proxy(inline.url) as proxy:
        yield proxy


@pytest.fixture
def another_backend(label_studio, tmp_path: Path) -> Iterator[str]:
    """The URL of a backend with a MODEL_DIR of its own, which nobody works for."""
    settings = Settings(label_studio_url=label_studio.url, model_dir=tmp_path)
    journal = open_journal(settings)
    app = create_app(settings, journal, Predictor(settings, journal, lambda: None))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


# Behind a proxy


def test_project_stays_connected_when_a_proxy_rewrites_the_host(
    label_studio, inline, colored_project, proxy
):
    project_id, _ = colored_project(6)
    connect_backend(label_studio.api, project_id, proxy.url)
    for _ in range(3):
        assert inline.reconcile(project_id)["connected"]
    assert webhook_urls(label_studio, project_id) == [f"{proxy.url}/webhook"]
    assert project_of(label_studio, project_id)["sampling"] == "Uncertainty sampling"


def test_row_is_told_from_that_of_another_backend_when_a_proxy_rewrites_the_host(
    label_studio, inline, colored_project, proxy, another_backend
):
    project_id, _ = colored_project(6)
    add_row(label_studio, project_id, another_backend)
    connect_backend(label_studio.api, project_id, proxy.url)
    assert inline.reconcile(project_id)["connected"]
    assert f"{proxy.url}/webhook" in webhook_urls(label_studio, project_id)


def test_row_is_found_anew_when_its_address_was_changed(
    label_studio, inline, connected_project, proxy
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    connect_backend(label_studio.api, project_id, proxy.url)
    assert inline.reconcile(project_id)["connected"]
    assert webhook_urls(label_studio, project_id) == [f"{proxy.url}/webhook"]


def test_project_is_given_back_when_another_backend_replaces_this_one(
    label_studio, inline, connected_project, another_backend
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    (row,) = rows_of(label_studio, project_id)
    moved = {"url": another_backend, "project": project_id}
    label_studio.api.call("PATCH", f"/api/ml/{row['id']}", json=moved)
    status = inline.reconcile(project_id)
    assert (status["connected"], status["phase"]) == (False, "disconnected")
    assert project_of(label_studio, project_id)["sampling"] == UNTOUCHED


def test_project_is_connected_again_when_the_model_dir_was_lost(
    label_studio, inline, connected_project
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    key = inline.key(project_id)
    for table in ("project", "round", "task", "reading", "batch"):
        forget(inline, table, key)
    # Any event of the webhook that Label Studio still has.
    event, named = {"action": "TASKS_CREATED"}, {"X-Alfa-Mix-Project": key}
    assert httpx.post(f"{inline.url}/webhook", json=event, headers=named).status_code == 201
    assert inline.reconcile(project_id)["connected"]


def forget(inline, table, key):
    with inline.journal._database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE key = ?", (key,))


# What strangers say


def say_setup(inline, key, **said):
    """A stranger's call of /setup, by whatever address."""
    host = said.pop("host", "evil.example.com")
    body = {"project": key, "schema": LABEL_CONFIG, "hostname": "http://evil", "access_token": "x"}
    headers = {"Host": host}
    reply = httpx.post(f"{inline.url}/setup", json=body | said, headers=headers)
    assert reply.status_code == 200


def key_of(label_studio, project_id):
    """Label Studio's id.createdEpoch, which an insider knows and anybody may guess."""
    created_at = project_of(label_studio, project_id)["created_at"]
    return f"{project_id}.{int(datetime.fromisoformat(created_at).timestamp())}"


def test_project_is_forgotten_when_label_studio_knows_none_of_the_name(
    label_studio, inline, colored_project
):
    project_id, _ = colored_project(6)
    made_up = ["424242.1700000000", f"{project_id}.1700000000"]
    for key in made_up:
        say_setup(inline, key)
        assert not reconcile(inline.worker, key)
    assert [inline.journal.project(key) for key in made_up] == [None, None]


@pytest.mark.parametrize("has_another", [False, True])
def test_project_is_forgotten_and_left_alone_when_it_names_no_row_of_ours(
    label_studio, inline, colored_project, another_backend, has_another
):
    project_id, _ = colored_project(6)
    if has_another:
        add_row(label_studio, project_id, another_backend)
    before = webhook_urls(label_studio, project_id)
    key = key_of(label_studio, project_id)
    say_setup(inline, key, host=another_backend.removeprefix("http://"))
    assert not reconcile(inline.worker, key)
    assert inline.journal.project(key) is None
    assert project_of(label_studio, project_id)["sampling"] == UNTOUCHED
    assert webhook_urls(label_studio, project_id) == before


def test_confirmed_project_stays_as_it_is_when_a_stranger_speaks_of_it(
    label_studio, inline, connected_project
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    key = inline.key(project_id)
    before, hooks = inline.journal.project(key), webhook_urls(label_studio, project_id)
    other_config = LABEL_CONFIG.replace("red", "pink")
    say_setup(inline, key, schema=other_config)
    say_setup(inline, key, access_token="")
    inline.reconcile(project_id)
    after = inline.journal.project(key)
    facts = ("access_token", "hostname", "label_config", "row_id", "webhook_id", "connected")
    assert {name: getattr(after, name) for name in facts} == {
        name: getattr(before, name) for name in facts
    }
    assert (after.offered_token, after.offered_hostname) == ("", "")
    assert webhook_urls(label_studio, project_id) == hooks


def test_token_is_replaced_when_another_one_opens_the_project(
    label_studio, inline, connected_project
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    key = inline.key(project_id)
    _email, _password, token = label_studio.create_user()
    say_setup(inline, key, access_token=token, hostname="http://moved")
    inline.reconcile(project_id)
    state = inline.journal.project(key)
    assert (state.access_token, state.hostname) == (token, "http://moved")


def test_training_is_requested_of_the_confirmed_project_when_a_stranger_names_a_newer_one(
    inline, connected_project
):
    project_id, _ = connected_project(6)
    inline.reconcile(project_id)
    key, made_up = inline.key(project_id), f"{project_id}.999999999999"
    say_setup(inline, made_up)
    event = {"action": "START_TRAINING", "project": project_id}
    assert httpx.post(f"{inline.url}/webhook", json=event).status_code == 201
    assert inline.journal.project(key).training_requested
    assert not inline.journal.project(made_up).training_requested
    assert not reconcile(inline.worker, made_up)
    assert inline.journal.project(made_up) is None
