"""What goes wrong at Label Studio within a round: the round goes on, and nothing doubles."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import jwt
import pytest

from backend.errors import (
    LabelStudioError,
    LabelStudioUnauthorizedError,
    LabelStudioUnreachableError,
)
from backend.harness.annotate import Annotator
from backend.harness.api import Api
from backend.harness.people import sign_in
from backend.harness.project import BACKEND_TITLE, connect_backend
from backend.harness.proxy import Failure, Proxy
from backend.label_studio.client import LabelStudioClient
from tests.loop.conftest import LABEL_CONFIG, predictions_of, project_of, true_color, wait_for

pytestmark = pytest.mark.label_studio
PREDICTIONS, WEBHOOKS = "/api/predictions/", "/api/webhooks/"
# The others take as long each, and differ in what the client makes of the answer alone.
USUAL = {Failure.REFUSED, Failure.LOST, Failure.STORED}
SPARE = LABEL_CONFIG.replace("</Choices>", '<Choice value="spare"/></Choices>')
RENAMED = LABEL_CONFIG.replace("</Choices>", '<Choice value="other"/></Choices>')


@pytest.fixture
def proxy(label_studio) -> Iterator[Proxy]:
    with Proxy(label_studio.url) as proxy:
        yield proxy


def at_third_prediction(does: Callable[[], Failure | None]) -> Callable:
    """A proxy's `fails` that does something when the third prediction comes, and is over then."""
    left = [None, None, does]

    def fails(method: str, path: str) -> Failure | None:
        if (method, path) != ("POST", PREDICTIONS) or not left:
            return None
        happens = left.pop(0)
        return None if happens is None else happens()

    return fails


def label_batch(inline, annotator, project_id) -> None:
    for _ in inline.status(project_id)["batch"]:
        annotator(project_id).label_next()


def assert_published_once(label_studio, project_id, status) -> None:
    """The queue follows the status's round, and no task has two predictions of a version."""
    found = predictions_of(label_studio, project_id)
    counts = Counter((one["task"], one["model_version"]) for one in found)
    assert [pair for pair, count in counts.items() if count > 1] == []
    queued = [one["task"] for one in found if one["model_version"] == status["model_version"]]
    assert sorted(queued) == sorted(status["batch"] + status["reserve"])
    assert project_of(label_studio, project_id)["model_version"] == status["model_version"]


def test_round_goes_on_when_the_token_was_revoked_in_it(
    label_studio, inline, connected_project, annotator, proxy
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    email, password, token = label_studio.create_user()
    owner = Api(label_studio.url, token)

    def revoke() -> None:
        owner.call("POST", "/api/current-user/reset-token/")

    proxy.fails = at_third_prediction(revoke)
    reached = {"label_studio_url": proxy.url}
    with pytest.raises(LabelStudioUnauthorizedError):
        inline.reconcile(project_id, inline.worker_with(**reached, label_studio_api_key=token))
    assert inline.status(project_id)["last_round"]["number"] == 0
    token = sign_in(label_studio.api, email, password).token
    status = inline.reconcile(project_id, inline.worker_with(**reached, label_studio_api_key=token))
    owner.close()
    assert status["last_round"]["number"] == 1
    assert_published_once(label_studio, project_id, status)


@pytest.fixture
def personal_token(label_studio) -> str:
    """A personal access token of a user, who has no other."""
    allowed = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": True}
    label_studio.api.call("POST", "/api/jwt/settings", json=allowed)
    _email, _password, token = label_studio.create_user()
    user = Api(label_studio.url, token)
    found = user.call("POST", "/api/token/")["token"]
    user.close()
    return found


def access_token(expires_in_s: float) -> str:
    """One that Label Studio refuses; whoever has it knows no more than when it expires."""
    claims = {"exp": int(time.time() + expires_in_s), "token_type": "access"}
    return jwt.encode(claims, "another key of as many bytes as is needed", "HS256")


@pytest.mark.parametrize("expires_in_s", [-1.0, 300.0], ids=["known", "by its clock alone"])
def test_client_goes_on_when_the_access_token_of_a_personal_token_expired(
    label_studio, colored_project, personal_token, expires_in_s
):
    project_id, _ = colored_project(3)
    client = LabelStudioClient(label_studio.url, personal_token)
    assert client.project(project_id) is not None
    client._transport._wrapper._tokens_client._set_access_token(access_token(expires_in_s))
    assert client.project(project_id) is not None


def test_one_webhook_is_there_when_its_creation_was_written_and_answered_with_500(
    label_studio, inline, connected_project, proxy
):
    project_id, _ = connected_project(6)
    worker = inline.worker_with(label_studio_url=proxy.url)
    inline.reconcile(project_id, worker)

    def hooks():
        return label_studio.api.call("GET", WEBHOOKS, params={"project": project_id})

    for hook in hooks():
        label_studio.api.call("DELETE", f"{WEBHOOKS}{hook['id']}/")
    proxy.fails = lambda method, path: (
        Failure.STORED if (method, path) == ("POST", WEBHOOKS) else None
    )
    status = inline.reconcile(project_id, worker)
    assert "500" in status["last_error"]
    (made,) = hooks()
    label_studio.api.call("POST", WEBHOOKS, json={"project": project_id, "url": made["url"]})
    status = inline.reconcile(project_id, worker)
    assert status["last_error"] is None
    assert len(hooks()) == 1


@pytest.mark.parametrize(
    "failure",
    [one if one in USUAL else pytest.param(one, marks=pytest.mark.soak) for one in Failure],
)
def test_round_goes_on_when_label_studio_was_away_in_the_middle_of_it(
    label_studio, inline, connected_project, annotator, proxy, failure
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    worker = inline.worker_with(label_studio_url=proxy.url)

    def go_away() -> Failure:
        proxy.fails = lambda _method, _path: failure
        return failure

    proxy.fails = at_third_prediction(go_away)
    for _ in range(2):
        with pytest.raises(LabelStudioError):
            inline.reconcile(project_id, worker)
    proxy.fails = lambda _method, _path: None
    status = inline.reconcile(project_id, worker)
    assert (status["last_error"], status["last_round"]["number"]) == (None, 1)
    assert_published_once(label_studio, project_id, status)


@pytest.mark.parametrize(
    ("before", "after", "classes"),
    [
        (LABEL_CONFIG, SPARE, ["blue", "green", "red", "spare"]),
        (SPARE, RENAMED, ["blue", "green", "red", "other"]),
        (SPARE, LABEL_CONFIG, ["blue", "green", "red"]),
    ],
    ids=["added", "renamed", "removed"],
)
def test_next_round_has_the_new_classes_when_the_config_was_edited_in_a_round(
    label_studio, inline, connected_project, annotator, proxy, before, after, classes
):
    project_id, _ = connected_project(30)
    path = f"/api/projects/{project_id}/"
    label_studio.api.call("PATCH", path, json={"label_config": before})
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)

    def edit() -> None:
        label_studio.api.call("PATCH", path, json={"label_config": after})

    proxy.fails = at_third_prediction(edit)
    status = inline.reconcile(project_id, inline.worker_with(label_studio_url=proxy.url))
    assert status["last_error"] is None
    assert status["last_round"]["statistics"]["reason"] == "the classes changed"
    published = inline.journal.published_round(inline.key(project_id))
    assert (list(published.classes), published.n_labeled) == (classes, 6)
    assert_published_once(label_studio, project_id, status)


def test_labels_count_under_the_new_name_when_choices_were_renamed(
    label_studio, inline, connected_project
):
    # Label Studio refuses that where there are annotations.
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    config = LABEL_CONFIG.replace('name="label"', 'name="kind"')
    label_studio.api.call("PATCH", f"/api/projects/{project_id}/", json={"label_config": config})
    status = inline.reconcile(project_id)
    person = Annotator(label_studio.api, project_id, true_color, "kind")
    assert [person.label_next() for _ in status["batch"]] == status["batch"]
    status = inline.reconcile(project_id)
    assert (status["last_error"], status["last_round"]["labels"]) == (None, 6)
    results = [one["result"] for one in predictions_of(label_studio, project_id) if one["result"]]
    assert {result[0]["from_name"] for result in results} <= {"label", "kind"}
    assert_published_once(label_studio, project_id, status)


def test_other_projects_go_on_when_one_is_deleted_in_a_round(
    label_studio, inline, connected_project, annotator, proxy
):
    deleted, _ = connected_project(30)
    other, _ = connected_project(30)
    for project_id in (deleted, other):
        inline.reconcile(project_id)
        label_batch(inline, annotator, project_id)
    worker = inline.worker_with(label_studio_url=proxy.url)

    def delete() -> None:
        # Label Studio fails to where a prediction is stored in the middle of it: press again.
        wait_for("the project to be deleted", is_deleted)

    def is_deleted() -> bool:
        with suppress(LabelStudioUnreachableError):
            label_studio.api.call("DELETE", f"/api/projects/{deleted}/")
            return True
        return False

    proxy.fails = at_third_prediction(delete)
    with suppress(LabelStudioError):
        inline.reconcile(deleted, worker)
    status = inline.reconcile(deleted, worker)
    assert (status["phase"], status["connected"]) == ("disconnected", False)
    assert inline.reconcile(other, worker)["last_round"]["number"] == 1


def test_queue_goes_on_when_the_backend_was_removed_and_added(
    label_studio, inline, connected_project, annotator
):
    project_id, _ = connected_project(30)
    inline.reconcile(project_id)
    label_batch(inline, annotator, project_id)
    inline.reconcile(project_id)
    for row in label_studio.api.call("GET", "/api/ml", params={"project": project_id}):
        assert row["title"] == BACKEND_TITLE
        label_studio.api.call("DELETE", f"/api/ml/{row['id']}")
    assert inline.reconcile(project_id)["connected"] is False
    connect_backend(label_studio.api, project_id, inline.url)
    status = inline.reconcile(project_id)
    assert status["connected"]
    label_batch(inline, annotator, project_id)
    status = inline.reconcile(project_id)
    assert (status["last_error"], status["last_round"]["labels"]) == (None, 12)
    assert_published_once(label_studio, project_id, status)
