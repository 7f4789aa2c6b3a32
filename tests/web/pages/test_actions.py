"""What the buttons do, and who may press them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from model_store import phases
from tests.states import KEY
from tests.web.pages.conftest import app_of

FORMS = (
    "do/train",
    "do/pause",
    "do/resume",
    "do/backtest",
    "do/take-back",
    "settings",
    "first",
    "open",
)
OWN = {"budget": "", "strategy": "", "audit": "", "preselect": ""}


@pytest.fixture
def token(client, project) -> str:
    return token_of(client)


def token_of(client) -> str:
    page = client.get("/projects/12").text
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def post(client, name, token, headers=None, **fields):
    data = {"csrf_token": token, **fields}
    return client.post(f"/projects/12/{name}", data=data, headers=headers or {})


def test_round_is_asked_for_when_the_button_is_pressed(client, project, token):
    reply = post(client, "do/train", token)
    assert (reply.status_code, reply.headers["Location"]) == (303, "../../12")
    assert project.project(KEY).training_requested


def test_project_is_paused_and_goes_on(client, project, token):
    post(client, "do/pause", token)
    assert project.project(KEY).is_paused
    assert "confirm/resume" in client.get("/projects/12").text
    post(client, "do/resume", token)
    assert not project.project(KEY).is_paused


def test_backtest_is_asked_for_and_its_results_are_shown(client, project, folder, token):
    post(client, "do/backtest", token)
    assert project.project(KEY).backtest == phases.REQUESTED
    assert "About to begin" in client.get("/projects/12").text
    assert client.get("/projects/12/backtest.png").status_code == 404
    folder.backtest.mkdir(parents=True)
    verdicts = "auto: <saves> 12 labels.\nautomatic: never.\nmargin: 9."
    (folder.backtest / "report.txt").write_text(f"a table\n\n{verdicts}\n")
    (folder.backtest / "learning-curves.png").write_bytes(b"png")
    project.update_project(KEY, backtest="", backtest_at=1_700_000_000.0)
    page = client.get("/projects/12").text
    assert "auto: &lt;saves&gt; 12 labels." in page and "2023-11-14 22:13 UTC" in page
    assert client.get("/projects/12/backtest.png").data == b"png"
    card = client.get("/projects/12/accuracy").text
    assert "Backtest: auto: &lt;saves&gt; 12 labels.</p>" in card
    project.update_project(KEY, own_settings={"strategy": "entropy"})
    assert "Backtest" not in client.get("/projects/12/accuracy").text


def test_backtest_is_not_asked_for_again_while_one_is_under_way(client, project, token):
    for state in (phases.REQUESTED, phases.RUNNING):
        project.update_project(KEY, backtest=state, backtest_done=3, backtest_total=9)
        reply = post(client, "do/backtest", token)
        assert reply.status_code == 409 and "asked for already" in reply.text
        assert project.project(KEY).backtest == state


def test_question_of_a_round_says_that_a_paused_project_waits(client, project, token):
    put_off = "the round begins once you let it go on"
    assert put_off not in client.get("/projects/12/confirm/train").text
    project.update_project(KEY, is_paused=True)
    assert put_off in client.get("/projects/12/confirm/train").text
    assert put_off not in client.get("/projects/12/confirm/resume").text


def test_question_is_asked_before_anything_is_done(client, project, token):
    page = client.get("/projects/12/confirm/pause").text
    assert "Pause this project?" in page
    assert not project.project(KEY).is_paused


def test_own_settings_are_kept_and_shown(client, project, token):
    reply = post(client, "settings", token, **(OWN | {"budget": " 30 ", "preselect": "off"}))
    assert reply.status_code == 303
    assert project.project(KEY).own_settings == {"budget": "30", "preselect": "off"}
    assert 'value="30"' in client.get("/projects/12").text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("budget", "9" * 41),
        ("strategy", "x" * 41),
        ("budget", "many"),
        ("budget", "0"),
        ("audit", "0.9"),
        ("strategy", "x"),
        ("preselect", "x"),
    ],
)
def test_error_is_said_beside_the_field_and_nothing_is_kept(client, project, token, name, text):
    reply = post(client, "settings", token, **(OWN | {name: text}))
    assert reply.status_code == 400
    field = reply.text[reply.text.index(f'for="set-{name}"') :]
    field = field[: field.index("</div>")]
    assert 'aria-invalid="true"' in field and "needed is" in field
    assert project.project(KEY).own_settings == {}


def test_tasks_come_first_when_the_admin_asks(client, project, token):
    reply = post(client, "first", token, task_ids="104,103,100,104,9999")
    assert reply.status_code == 303
    # 9999 is not the project's, 103 is labeled.
    assert list(project.asked.open_places(KEY)) == [104, 100]
    page = client.get("/projects/12").text
    assert "2 tasks that you put first wait for a label" in page
    assert "2 of 3 chosen wait for a label and come first." in page
    assert "chosen wait" not in client.get("/projects/12").text


def test_admin_is_told_when_nothing_chosen_waits_for_a_label(client, project, token):
    post(client, "first", token, task_ids="103")
    assert project.asked.open_places(KEY) == {}
    assert "Of 1 chosen none waits for a label" in client.get("/projects/12").text


def test_what_was_put_first_is_taken_back(client, project, token):
    post(client, "first", token, task_ids="104,100")
    assert "confirm/take-back" in client.get("/projects/12").text
    assert "until the next round" in client.get("/projects/12/confirm/take-back").text
    post(client, "do/take-back", token)
    assert project.asked.open_places(KEY) == {}
    assert "confirm/take-back" not in client.get("/projects/12").text


@pytest.mark.parametrize(
    "task_ids", ["", "x", "1,,2", "0", "9" * 19, ",".join(["1"] * 901), "9999"]
)
def test_selection_that_is_none_is_refused(client, project, token, task_ids):
    assert post(client, "first", token, task_ids=task_ids).status_code in (400, 404)
    assert project.asked.open_places(KEY) == {}


@pytest.mark.parametrize("name", FORMS)
def test_form_is_refused_without_its_token(client, project, token, name):
    before = project.project(KEY)
    for given in ("", "x", "\u00e9"):
        assert post(client, name, given, task_ids="100").status_code == 400
    assert project.project(KEY) == before


def test_token_of_another_browser_is_refused(settings, client, project, token):
    other = app_of(settings, project).test_client()
    other.get("/projects/12")
    assert post(other, "do/pause", token).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"},
    ],
)
def test_form_of_another_site_is_refused(client, project, token, headers):
    assert post(client, "do/pause", token, headers).status_code == 400
    assert not project.project(KEY).is_paused


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://a-proxy.example"},
        {"Origin": "https://a-proxy.example"},
    ],
)
def test_own_form_is_taken_also_behind_a_proxy(settings, project, headers):
    named = replace(settings, public_url="https://a-proxy.example")
    client = app_of(named, project).test_client()
    assert post(client, "do/pause", token_of(client), headers).status_code == 303


def test_token_stays_when_the_page_is_opened_again(client, project, token):
    reply = client.get("/projects/12")
    assert token_of(client) == token and "Set-Cookie" not in reply.headers


def test_secret_outlasts_the_process(settings, client, project, token):
    again = app_of(settings, project).test_client()
    again.set_cookie(f"alfa-mix-{project.instance()[:8]}", _cookie(client, project))
    assert post(again, "do/pause", token).status_code == 303


def _cookie(client, journal) -> str:
    return client.get_cookie(f"alfa-mix-{journal.instance()[:8]}").value


def test_open_is_answered_at_once_when_label_studio_keeps_others_waiting(
    client, project, token, monkeypatch
):
    monkeypatch.setattr("threading.BoundedSemaphore.acquire", lambda *_, **__: False)
    reply = post(client, "open", token, task_ids="100")
    assert reply.status_code == 503 and "try again later" in reply.text


def test_form_that_is_too_large_is_refused(client, project, token):
    assert post(client, "first", token, task_ids="1" * 100_000).status_code == 413
