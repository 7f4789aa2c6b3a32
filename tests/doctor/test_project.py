"""What the doctor says of a project of a real Label Studio, and what it puts right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backend.doctor import command
from backend.doctor.findings import Verdict
from backend.doctor.images import storage_of
from backend.doctor.project import reachable
from backend.harness.child import free_port
from backend.label_studio.client import LabelStudioClient, MlBackend
from backend.label_studio.tab import TITLE
from tests.loop.conftest import LABEL_CONFIG, colored_tasks

pytestmark = pytest.mark.label_studio


@pytest.fixture
def look(inline, monkeypatch):
    """The findings about one project, by topic; the machine is not looked at again each time."""
    monkeypatch.setattr(command, "examine_machine", lambda _settings: ())

    def find(project_id, *, mends=False, **changes):
        settings = replace(inline.settings, **changes)
        before = f"project {project_id}: "
        return {
            one.topic.removeprefix(before): one
            for one in command.examine(settings, [project_id], mends=mends)
            if one.topic.startswith(before)
        }

    return find


def failing(findings):
    return {topic for topic, one in findings.items() if one.verdict is Verdict.FAIL}


@pytest.fixture
def published(inline, connected_project):
    """A connected project whose first round is published."""
    project_id, _ = connected_project(12)
    inline.reconcile(project_id)
    return project_id


def test_nothing_fails_when_a_project_is_connected(label_studio, look, published):
    findings = look(published)
    assert failing(findings) == set()
    assert findings["label config"].text == "3 classes for $image: blue, green, red"
    assert findings["images"].text.endswith(": 16 x 16 px")
    assert findings["queue"].text == "it follows 'alfa-mix r0 · 0 labels'"
    tabs = label_studio.api.call("GET", "/api/dm/views/", params={"project": published})
    tab_id = next(tab["id"] for tab in tabs if tab["data"]["title"] == TITLE)
    link = f"/projects/{published}/data?tab={tab_id}&labeling=1"
    assert (
        findings["annotators"].text == f"they press Label All Tasks, or open Label Studio's {link}"
    )
    assert "Label Studio reaches it" in findings["Model page"].text
    assert "0 tasks labeled, 12 left" in findings["backend"].text


def test_rights_are_looked_up_and_nothing_is_changed(label_studio, look, published):
    before = label_studio.api.call("GET", f"/api/projects/{published}/")
    assert look(published)["rights"].verdict is Verdict.OK
    assert label_studio.api.call("GET", f"/api/projects/{published}/") == before


def test_imitated_refused_rights_fail(look, published, monkeypatch):
    """In Label Studio Community every member has all rights."""
    monkeypatch.setattr(LabelStudioClient, "refused_rights", lambda *_: ["add predictions"])
    finding = look(published)["rights"]
    assert finding.verdict is Verdict.FAIL and "may not add predictions" in finding.text


def test_token_that_label_studio_sent_serves_where_none_is_configured(inline, look, published):
    assert failing(look(published, label_studio_api_key="")) == set()
    settings = replace(inline.settings, label_studio_api_key="")
    token = next(one for one in command.examine(settings, [published]) if one.topic == "token")
    assert token.verdict is Verdict.OK and token.text.endswith(", which Label Studio sent")


def test_project_of_which_no_token_is_known_fails_alone(inline, look, published):
    settings = replace(inline.settings, label_studio_api_key="")
    findings = {one.topic: one for one in command.examine(settings, [published, 10**9])}
    assert "no token" in findings[f"project {10**9}"].text
    assert findings[f"project {published}: queue"].verdict is Verdict.OK


def test_connected_projects_are_looked_at_when_none_is_named(inline, look, published):
    topics = [one.topic for one in command.examine(inline.settings)]
    assert f"project {published}: queue" in topics


@pytest.mark.parametrize(
    ("topic", "spoil"),
    [
        ("sampling", lambda api, project: change(api, project, sampling="Sequential sampling")),
        ("queue", lambda api, project: follow_another_version(api, project)),
        ("webhook", lambda api, project: remove_webhooks(api, project)),
    ],
)
def test_what_a_running_backend_puts_right_fails_until_it_is_mended(
    label_studio, look, published, topic, spoil
):
    spoil(label_studio.api, published)
    findings = look(published)
    assert failing(findings) == {topic}
    assert "--fix" in findings[topic].remedy
    mended = look(published, mends=True)
    assert failing(mended) == set()
    assert "put right" in mended
    assert failing(look(published)) == set()


def change(api, project_id, **fields):
    api.call("PATCH", f"/api/projects/{project_id}/", json=fields)


def follow_another_version(api, project_id):
    """Label Studio refuses a version that no prediction carries."""
    task = api.call("GET", "/api/tasks", params={"project": project_id})["tasks"][0]
    body = {"task": task["id"], "result": [], "score": 0.5, "model_version": "another"}
    api.call("POST", "/api/predictions/", json=body)
    change(api, project_id, model_version="another")


def remove_webhooks(api, project_id):
    for hook in api.call("GET", "/api/webhooks/", params={"project": project_id}):
        api.call("DELETE", f"/api/webhooks/{hook['id']}/")


def test_sampling_of_before_is_noted_when_it_is_mended(inline, label_studio, look, published):
    change(label_studio.api, published, sampling="Uniform sampling")
    look(published, mends=True)
    assert inline.journal.project(inline.key(published)).previous_sampling == "Uniform sampling"


def test_project_without_a_backend_is_told_where_to_paste_what(look, colored_project):
    project_id, _ = colored_project(3)
    findings = look(project_id, public_url="https://backend.example.com")
    assert failing(findings) == {"Model page"}
    assert "Connect Model" in findings["Model page"].remedy
    assert "https://backend.example.com" in findings["Model page"].remedy


def test_project_without_a_backend_is_told_how_label_studio_lets_one_in(inline, colored_project):
    project_id, _ = colored_project(3)
    [notice] = [
        one
        for one in command.examine(inline.settings, [project_id])
        if one.topic.endswith("Model page") and one.verdict is Verdict.NOTE
    ]
    assert "a backend at localhost (403" in notice.text
    assert notice.remedy.startswith("USE_DEFAULT_BANNED_SUBNETS=false USER_ADDITIONAL_BANNED")
    assert "127.0.0.0" not in notice.remedy


def test_project_that_nobody_may_see_fails(look):
    findings = look(999_999)
    assert failing(findings) == {"project"}


def test_label_config_that_does_not_fit_fails_with_where_to_edit_it(look, label_studio):
    choices = '<Choices name="c" toName="t"><Choice value="a"/><Choice value="b"/></Choices>'
    config = f'<View><Text name="t" value="$text"/>{choices}</View>'
    findings = look(label_studio.create_project(config))
    assert "Labeling Interface" in findings["label config"].remedy


@pytest.mark.parametrize(
    ("trouble", "remedy"),
    [
        (
            "URL resolves to a reserved network address (block: 10.0.0.0/8)",
            "USER_ADDITIONAL_BANNED_SUBNETS=0.0.0.0/8,10.0.0.0/29,",
        ),
        ("HTTPConnectionPool: Max retries exceeded", "reachable from Label Studio"),
    ],
)
def test_remedy_is_told_by_what_label_studio_noted_of_the_row(trouble, remedy):
    finding = reachable(MlBackend(1, "http://10.0.0.8:9090", trouble))
    assert finding.verdict is Verdict.FAIL
    assert remedy in finding.remedy


def test_remedy_of_a_private_image_host_keeps_those_that_are_named(look, label_studio):
    project_id = label_studio.create_project(LABEL_CONFIG)
    label_studio.import_tasks(project_id, [{"image": "http://10.0.0.9/a.png"}])
    finding = look(project_id, image_hosts=("192.168.1.0/24",))["images"]
    assert finding.remedy == "ALFAMIX_IMAGE_HOSTS=192.168.1.0/24,10.0.0.9"


def test_first_image_of_each_storage_is_fetched(inline, look, label_studio):
    project_id = label_studio.create_project(LABEL_CONFIG)
    label_studio.import_tasks(
        project_id,
        [
            *colored_tasks(2),
            {"image": f"http://127.0.0.1:{free_port()}/a.png"},
            {"image": "/data/upload/1/gone.png"},
        ],
    )
    texts = [
        f"{one.verdict} {one.text}"
        for one in command.examine(inline.settings, [project_id])
        if one.topic.endswith("images")
    ]
    assert len(texts) == 3
    assert texts[0].startswith("ok data, task ")
    assert texts[1].startswith("FAIL http, task ")
    assert texts[2].startswith("FAIL upload, task ")


@pytest.mark.parametrize(
    ("uri", "storage"),
    [
        ("/data/upload/1/a.png", "upload"),
        ("/data/local-files/?d=a.png", "local file"),
        ("s3://bucket/a.png", "s3"),
        ("azure-blob://a/b.png", "azure-blob"),
        ("data:image/png;base64,AA", "data"),
        ("https://example.com/a.png", "https"),
        ("ftp://example.com/a.png", "other"),
    ],
)
def test_storage_is_told_by_the_uri(uri, storage):
    assert storage_of(uri) == storage
